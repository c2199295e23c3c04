package assets

import (
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// open returns what was packed, decompressed while it is read.
func open(packed string) (io.ReadCloser, error) {
	// One goroutine and little memory: these files are small, and a program may
	// have many boxes to start.
	d, err := zstd.NewReader(strings.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

func copyUnpacked(w io.Writer, packed string) error {
	r, err := open(packed)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}

// unpackedSize returns the size that the header of packed states.
func unpackedSize(packed string) (int64, error) {
	var h zstd.Header
	if err := h.Decode([]byte(packed[:min(len(packed), zstd.HeaderMaxSize)])); err != nil {
		return 0, err
	}
	if !h.HasFCS {
		return 0, io.ErrUnexpectedEOF
	}
	return int64(h.FrameContentSize), nil
}
