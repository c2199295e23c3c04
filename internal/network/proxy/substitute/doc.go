// Package substitute replaces some strings by others in what passes by: placeholders by
// secrets in what a box sends, and secrets by placeholders in what comes back.
//
// A [Replacer] is made once from all its pairs and may be used by many goroutines. It works
// on strings, on streams ([Replacer.Reader]), and on the messages of a WebSocket ([Frames]).
// All three agree: matches are taken from left to right, don't overlap, and where several
// begin at one place the longest is taken. What was put in is not looked at again.
//
// # Bounds
//
// Both sides of a proxy may be hostile. The search is an Aho-Corasick automaton that never
// goes back in its input, so the work is linear in it whatever it contains; the factor
// depends on the pairs alone. A stream holds back only bytes that may begin a match, fewer
// than the longest Old has, so that events of a server arrive when they are sent.
//
// # Secrets that come back
//
// A server may send back a secret in another form. [Encodings] lists the usual ones. It can't
// list all: this keeps secrets out of logs and files of honest programs, it doesn't stop a
// server that wants to give away what it was told.
package substitute
