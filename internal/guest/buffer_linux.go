package guest

import "sync"

// buffer holds what is read or sent at once: the size of a pipe.
type buffer [64 << 10]byte

// buffers are used again, as clearing five of them for each command takes longer
// on an emulated CPU than most commands' output.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

func takeBuffer() *buffer  { return buffers.Get().(*buffer) }
func giveBuffer(b *buffer) { buffers.Put(b) }
