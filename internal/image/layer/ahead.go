package layer

import "io"

const (
	aheadChunks    = 8
	aheadChunkSize = 64 << 10
)

// ahead reads a stream in a goroutine of its own, some chunks ahead of its
// reader, so that unpacking goes on while content is hashed or written.
type ahead struct {
	full, free chan []byte
	stop       chan struct{}
	ended      chan struct{}
	err        error // set before full is closed
	chunk      []byte
	rest       []byte
}

func newAhead(r io.Reader) *ahead {
	a := &ahead{
		full: make(chan []byte, aheadChunks), free: make(chan []byte, aheadChunks),
		stop: make(chan struct{}), ended: make(chan struct{}),
	}
	for range aheadChunks {
		a.free <- make([]byte, aheadChunkSize)
	}
	go a.run(r)
	return a
}

func (a *ahead) run(r io.Reader) {
	defer close(a.ended)
	defer close(a.full)
	for a.err == nil {
		select {
		case <-a.stop:
			return
		case chunk := <-a.free:
			var n int
			n, a.err = io.ReadFull(r, chunk[:cap(chunk)])
			if a.err == io.ErrUnexpectedEOF && n > 0 {
				// Either the end, or the decoder's own error: the next call tells.
				a.err = nil
			}
			a.full <- chunk[:n]
		}
	}
}

// Read implements io.Reader.
func (a *ahead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.chunk != nil {
			a.free <- a.chunk
			a.chunk = nil
		}
		chunk, ok := <-a.full
		if !ok {
			return 0, a.err
		}
		a.chunk, a.rest = chunk, chunk
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// close waits for the goroutine to end. The reader below may then be closed.
func (a *ahead) close() {
	close(a.stop)
	<-a.ended
}
