package guest

import (
	"sync"
	"sync/atomic"
)

// blockSize is what is read at once: the size of a pipe.
const blockSize = 64 << 10

// buffers are used again, as clearing them for each command takes longer on an
// emulated CPU than most commands' output.
var buffers = sync.Pool{New: func() any { return new([blockSize]byte) }}

func takeBuffer() *[blockSize]byte  { return buffers.Get().(*[blockSize]byte) }
func giveBuffer(b *[blockSize]byte) { buffers.Put(b) }

// block is a part of a stream. What is in it stays as it is for whoever holds it.
type block struct {
	data []byte
	// buf is the buffer that data is in. It is given back when nobody holds the
	// block any more. Nil leaves that to the garbage collector.
	buf  *[blockSize]byte
	refs atomic.Int32
}

// newBlock returns the first n bytes of a buffer as a block, which the caller holds.
func newBlock(buf *[blockSize]byte, n int) *block {
	b := &block{data: buf[:n], buf: buf}
	b.refs.Store(1)
	return b
}

// grow copies p behind the block's data, if there is room. Those who hold the block
// have what they had.
func (b *block) grow(p []byte) bool {
	if b.buf != nil || len(b.data)+len(p) > blockSize {
		return false
	}
	b.data = append(b.data, p...)
	return true
}

func (b *block) retain() { b.refs.Add(1) }

func (b *block) release() {
	if b.refs.Add(-1) == 0 && b.buf != nil {
		giveBuffer(b.buf)
	}
}
