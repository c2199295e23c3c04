package portal

import (
	"encoding/binary"
	"io"
)

// The header of a yamux frame: version, type, flags (2 bytes), stream (4 bytes),
// length (4 bytes). The body of a frame with data has that length.
const (
	frameHeaderSize = 12
	frameTypeData   = 0
)

// BestWrite is how much one Write to a stream should be: with its header, the frame
// is as much as Linux passes on at once from a write to a virtio-serial port.
const BestWrite = 32<<10 - frameHeaderSize

// frameWriter passes on each yamux frame in one Write. Yamux writes a frame's
// header, then its body; on a virtio-serial port each Write is an interrupt of
// the other side, and a wake-up of who reads there. It is not for concurrent
// writers, which yamux isn't.
type frameWriter struct {
	io.ReadWriteCloser
	header [frameHeaderSize]byte
	held   bool // header is to be written before what comes next
	frame  []byte
}

func (w *frameWriter) Write(p []byte) (int, error) {
	if !w.held {
		if len(p) == frameHeaderSize && p[1] == frameTypeData && binary.BigEndian.Uint32(p[8:]) > 0 {
			w.held = true
			return copy(w.header[:], p), nil
		}
		return w.ReadWriteCloser.Write(p)
	}
	w.held = false
	w.frame = append(append(w.frame[:0], w.header[:]...), p...)
	n, err := w.ReadWriteCloser.Write(w.frame)
	return max(0, n-frameHeaderSize), err
}
