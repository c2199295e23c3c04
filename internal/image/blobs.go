package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/boxlite-go/boxlite/internal/durable"
	"github.com/boxlite-go/boxlite/internal/image/flatten"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	maxManifestBytes = 4 << 20
	maxConfigBytes   = 4 << 20
)

// checkDigest refuses what would not be a safe file name, and digests of other
// algorithms, which no registry in use has.
func checkDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("%.80q: %w", string(d), err)
	}
	if d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("the digest algorithm %s is not supported", d.Algorithm())
	}
	return nil
}

func (s *Store) blobPath(d digest.Digest) string { return s.path(blobsDir, d.Encoded()) }

// hasBlob reports whether the store holds a blob. Blobs get their names only when
// they are complete and checked.
func (s *Store) hasBlob(desc ocispec.Descriptor) bool {
	info, err := os.Stat(s.blobPath(desc.Digest))
	return err == nil && info.Mode().IsRegular() && info.Size() == desc.Size
}

// isIntact reports whether the store holds a blob, and it still is what it was.
func (s *Store) isIntact(ctx context.Context, desc ocispec.Descriptor) bool {
	if !s.hasBlob(desc) {
		return false
	}
	f, err := os.Open(s.blobPath(desc.Digest))
	if err != nil {
		return false
	}
	defer f.Close()
	sum := digest.SHA256.Digester()
	_, err = io.CopyBuffer(sum.Hash(), contextReader{ctx, f}, make([]byte, copyBuffer))
	return err == nil && sum.Digest() == desc.Digest
}

// readBlob reads a small blob and checks it.
func (s *Store) readBlob(d digest.Digest, limit int64) ([]byte, error) {
	if err := checkDigest(d); err != nil {
		return nil, err
	}
	f, err := os.Open(s.blobPath(d))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil, damagedBlob(d)
	}
	b, err := readAll(f, limit)
	if err != nil {
		return nil, err
	}
	if digest.FromBytes(b) != d {
		return nil, damagedBlob(d)
	}
	return b, nil
}

func damagedBlob(d digest.Digest) error {
	return &protocol.Error{
		Kind: protocol.KindImage, Err: fmt.Errorf("the stored blob %s is damaged", d),
		Hint: "pull or import the image again: what is damaged is replaced",
	}
}

// readAll reads all of r, which must not be longer than limit.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = tooLong(limit, "no image has such a large one: it is damaged, or was made to do damage")
	}
	return b, err
}

func tooLong(limit int64, hint string) error {
	return &protocol.Error{
		Kind: protocol.KindResourceExhausted,
		Err:  fmt.Errorf("longer than the limit of %d bytes", limit),
		Hint: hint,
	}
}

// blobWriter writes a blob whose digest may not be known beforehand.
type blobWriter struct {
	file *os.File
	hash hash.Hash
	size int64
}

func (s *session) newBlob() (*blobWriter, error) {
	f, err := s.create()
	if err != nil {
		return nil, err
	}
	return &blobWriter{file: f, hash: sha256.New()}, nil
}

func (w *blobWriter) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	w.hash.Write(p[:n])
	w.size += int64(n)
	return n, err
}

// finish closes the file. The blob is complete, but has no name yet.
func (w *blobWriter) finish() (blob, error) {
	b := blob{path: w.file.Name(), digest: digest.NewDigest(digest.SHA256, w.hash), size: w.size}
	return b, w.file.Close()
}

// blob is a temporary file of a session, whose digest is known.
type blob struct {
	path   string
	digest digest.Digest
	size   int64
}

// copyBlob copies r, of which there may be up to limit bytes, into a blob.
func (s *session) copyBlob(ctx context.Context, r io.Reader, limit int64, done func(int64)) (blob, error) {
	w, err := s.newBlob()
	if err != nil {
		return blob{}, err
	}
	body := &countingBody{reader: contextReader{ctx, io.LimitReader(r, limit+1)}, done: done}
	if _, err := io.CopyBuffer(w, body, make([]byte, copyBuffer)); err != nil {
		w.file.Close()
		return blob{}, err
	}
	if w.size > limit {
		w.file.Close()
		return blob{}, tooLong(limit, flatten.HintBytes)
	}
	return w.finish()
}

const copyBuffer = 256 << 10

// adopt gives a blob its name in the store.
func (s *session) adopt(b blob) error {
	f, err := os.OpenFile(b.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return publish(f, s.store.blobPath(b.digest))
}

// putBlob stores a small blob.
func (s *session) putBlob(ctx context.Context, content []byte) (digest.Digest, error) {
	d := digest.FromBytes(content)
	if s.store.isIntact(ctx, ocispec.Descriptor{Digest: d, Size: int64(len(content))}) {
		return d, nil
	}
	b, err := s.copyBlob(ctx, bytes.NewReader(content), int64(len(content)), func(int64) {})
	if err != nil {
		return "", err
	}
	return d, s.adopt(b)
}

// publish makes a complete temporary file appear under its name, durably.
func publish(f *os.File, path string) error {
	if err := f.Sync(); err != nil {
		return err
	}
	return durable.Rename(f.Name(), path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}
