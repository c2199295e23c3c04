// Package layer reads the tar streams that images are made of, whatever they
// are compressed with.
//
// What a layer is compressed with is told from its first bytes. Media types and
// file names say so too, but are wrong often enough.
package layer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression is how a layer's bytes are compressed.
type Compression uint8

// The compressions that the OCI image specification names.
const (
	Plain Compression = iota
	Gzip
	Zstd
)

const (
	bufferSize = 64 << 10
	// maxZstdWindow bounds what a hostile zstd frame makes the decoder allocate.
	// It is what `zstd --long` asks for.
	maxZstdWindow = 128 << 20
)

// Detect tells the compression from the first bytes of a layer; four are enough.
func Detect(head []byte) Compression {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return Gzip
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return Zstd
	case len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}):
		// A skippable frame, with which some tools begin a seekable zstd file.
		return Zstd
	}
	return Plain
}

// Reader reads the uncompressed bytes of a layer. Seek works on plain files
// only, and is cheap there: it lets archive/tar jump over content.
type Reader struct {
	Compression Compression

	buf     *bufio.Reader // over the compressed bytes
	content io.Reader
	seeker  io.Seeker // the source, if it is plain and can seek
	offset  int64     // of the next byte that content returns
	close   func()
}

// NewReader returns a Reader of the layer whose bytes source yields. The source
// remains the caller's to close.
func NewReader(source io.Reader) (*Reader, error) {
	r := &Reader{buf: bufio.NewReaderSize(source, bufferSize), close: func() {}}
	head, err := r.buf.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	r.Compression = Detect(head)
	switch r.Compression {
	case Gzip:
		z, err := gzip.NewReader(r.buf)
		if err != nil {
			return nil, fmt.Errorf("read gzip: %w", err)
		}
		r.unpack(z, func() {})
	case Zstd:
		z, err := zstd.NewReader(r.buf, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, fmt.Errorf("read zstd: %w", err)
		}
		r.unpack(z, z.Close)
	default:
		r.content = r.buf
		r.seeker, _ = source.(io.Seeker)
	}
	return r, nil
}

// unpack starts a decoder, which close ends.
func (r *Reader) unpack(decoder io.Reader, close func()) {
	a := newAhead(decoder)
	r.content = a
	r.close = func() { a.close(); close() }
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.content.Read(p)
	r.offset += int64(n)
	return n, err
}

// Seek moves forward from the current position; nothing else is supported.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	if r.seeker == nil || whence != io.SeekCurrent || offset < 0 {
		return 0, errors.ErrUnsupported
	}
	if offset <= int64(r.buf.Buffered()) {
		n, err := r.buf.Discard(int(offset))
		r.offset += int64(n)
		return r.offset, err
	}
	if _, err := r.seeker.Seek(offset-int64(r.buf.Buffered()), io.SeekCurrent); err != nil {
		return r.offset, err
	}
	r.buf.Reset(r.seeker.(io.Reader))
	r.offset += offset
	return r.offset, nil
}

// Close ends the decoder. It does not close the source, but nothing reads from
// the source any more.
func (r *Reader) Close() error {
	r.close()
	return nil
}
