// Package secret keeps values encrypted at rest, with a key of the home.
//
// The key is in secret.key, 32 random bytes that only their owner may read. It guards
// against values that are found in records of boxes, in backups of these, or by a
// search through the disk; not against one who may read the key's file.
//
// A value is sealed by XChaCha20-Poly1305 with a random nonce, and bound to a context,
// such as the box and the name it belongs to: it can't be opened in another's place.
package secret
