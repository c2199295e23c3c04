package secret

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/boxlite-go/boxlite/internal/durable"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

const (
	fileKey = "secret.key"
	// prefix tells how a value was sealed.
	prefix = "v1:"
)

// Keeper seals and unseals with the key of one home.
type Keeper struct {
	aead cipher.AEAD
	path string
}

// Open reads the key of a home, and makes it if there is none. Errors are of kind
// Storage, or Config if others may read the key.
func Open(home string) (*Keeper, error) {
	path := filepath.Join(home, fileKey)
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKey(path); err == nil {
			key, err = readKey(path)
		}
	}
	if err != nil {
		return nil, keyError(err)
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, keyError(err)
	}
	return &Keeper{aead: aead, path: path}, nil
}

func keyError(err error) error {
	if _, ok := errors.AsType[*protocol.Error](err); ok {
		return err
	}
	e := &protocol.Error{Kind: protocol.KindStorage, Op: "read the home's key for secrets", Err: err}
	if durable.IsFull(err) {
		e.Kind, e.Hint = protocol.KindResourceExhausted, durable.HintFull
	}
	return e
}

func readKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, &protocol.Error{
			Kind: protocol.KindConfig, Op: "read the home's key for secrets",
			Err:  fmt.Errorf("others may read %s", path),
			Hint: "chmod 600 " + path + ", and renew the secrets that were kept with it",
		}
	}
	key, err := io.ReadAll(io.LimitReader(f, chacha20poly1305.KeySize+1))
	if err != nil {
		return nil, err
	}
	if len(key) != chacha20poly1305.KeySize {
		return nil, fmt.Errorf("%s is damaged: it does not have %d bytes", path, chacha20poly1305.KeySize)
	}
	return key, nil
}

// makeKey makes the key unless somebody has: of several who try at once, the first
// wins, and all read the same.
func makeKey(path string) error {
	key := make([]byte, chacha20poly1305.KeySize)
	_, _ = rand.Read(key) // never fails
	name := make([]byte, 8)
	_, _ = rand.Read(name)
	fresh := fmt.Sprintf("%s.%x", path, name)
	if err := durable.Replace(fresh, key); err != nil {
		return err
	}
	defer os.Remove(fresh)
	if err := os.Link(fresh, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

// Seal encrypts a value for a context.
func (k *Keeper) Seal(value []byte, context string) (string, error) {
	nonce := make([]byte, k.aead.NonceSize(), k.aead.NonceSize()+len(value)+k.aead.Overhead())
	_, _ = rand.Read(nonce)
	return prefix + base64.RawStdEncoding.EncodeToString(k.aead.Seal(nonce, nonce, value, []byte(context))), nil
}

// Unseal decrypts what Seal has encrypted for the same context. An error, of kind
// Storage, tells nothing of the value.
func (k *Keeper) Unseal(sealed, context string) ([]byte, error) {
	fail := func(cause string) ([]byte, error) {
		return nil, &protocol.Error{
			Kind: protocol.KindStorage, Op: "decrypt a secret", Err: errors.New(cause),
			Hint: "was " + k.path + " replaced? make the box again, with the secret's value",
		}
	}
	if len(sealed) < len(prefix) || sealed[:len(prefix)] != prefix {
		return fail("it was not sealed by this version")
	}
	box, err := base64.RawStdEncoding.DecodeString(sealed[len(prefix):])
	if err != nil || len(box) < k.aead.NonceSize() {
		return fail("it is damaged")
	}
	value, err := k.aead.Open(nil, box[:k.aead.NonceSize()], box[k.aead.NonceSize():], []byte(context))
	if err != nil {
		return fail("it is damaged, or belongs to another box or key")
	}
	return value, nil
}
