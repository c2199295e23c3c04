package vsock

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

const chunkSize = 64 << 10

var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// buffer is bytes that wait for the host. It is as large as what is in it, in chunks.
type buffer struct {
	chunks fifo[*[chunkSize]byte]
	start  int // in the first chunk
	end    int // in the last one
}

func (b *buffer) len() int {
	if b.chunks.len() == 0 {
		return 0
	}
	return (b.chunks.len()-1)*chunkSize + b.end - b.start
}

func (b *buffer) add(p []byte) {
	for len(p) > 0 {
		if b.chunks.len() == 0 || b.end == chunkSize {
			b.chunks.push(chunks.Get().(*[chunkSize]byte))
			b.end = 0
		}
		all := b.chunks.all()
		n := copy(all[len(all)-1][b.end:], p)
		b.end += n
		p = p[n:]
	}
}

// next returns what comes first. It stays there until done is called.
func (b *buffer) next() []byte {
	end := chunkSize
	if b.chunks.len() == 1 {
		end = b.end
	}
	return (*b.chunks.front())[b.start:end]
}

// done takes n bytes of what next returned.
func (b *buffer) done(n int) {
	b.start += n
	if b.start == chunkSize || b.chunks.len() == 1 && b.start == b.end {
		chunks.Put(b.chunks.pop())
		b.start = 0
	}
}

// drop forgets all. Someone may be reading it, so the chunks aren't used again.
func (b *buffer) drop() {
	b.chunks.clear()
	b.start, b.end = 0, 0
}

// deliver passes what the guest has sent to the host: at once as much as the host takes
// without waiting, and the rest by the drainer. d.mu is held, and let go while writing.
func (d *Device) deliver(s *stream, payload [][]byte) {
	if s.isDeaf {
		d.took(s, int(size(payload)))
		return
	}
	if !s.isWriting && s.raw != nil {
		s.isWriting = true
		d.mu.Unlock()
		n, err := s.tryWrite(payload)
		d.mu.Lock()
		s.isWriting = false
		if s.isEnded {
			return
		}
		d.took(s, n)
		for k := n; k > 0; {
			m := min(k, len(payload[0]))
			payload, k = skip(payload, m), k-m
		}
		if err != nil || s.isDeaf {
			d.took(s, int(size(payload)))
			d.deafen(s)
			return
		}
	}
	for _, p := range payload {
		s.out.add(p)
	}
	if s.out.len() > 0 {
		d.startDrain(s)
	}
}

// startDrain has all that waits be written, if that isn't being done already.
func (d *Device) startDrain(s *stream) {
	if !s.isWriting && s.conn != nil {
		s.isWriting = true
		d.others.Go(func() { d.drain(s) })
	}
}

// drain writes what waits for the host, and ends that when the guest has.
func (d *Device) drain(s *stream) {
	defer d.flush()
	d.mu.Lock()
	defer d.mu.Unlock()
	for !s.isEnded {
		switch {
		case s.isDeaf:
			s.isWriting = false
			d.deafen(s)
			d.settle(s)
			return
		case s.out.len() > 0:
			p := s.out.next()
			d.mu.Unlock()
			d.flush() // the guest may wait for the credit of what was written before
			n, err := s.conn.Write(p)
			d.mu.Lock()
			if s.isEnded {
				return
			}
			s.out.done(n)
			d.took(s, n)
			if err != nil {
				s.isDeaf = true
			}
		case s.guestShut&shutSend != 0 && !s.isFinished:
			s.isFinished = true
			d.mu.Unlock()
			_ = s.conn.CloseWrite()
			d.mu.Lock()
		default:
			s.isWriting = false
			d.settle(s)
			return
		}
	}
}

// tryWrite writes what can be without waiting, straight from the guest's memory.
func (s *stream) tryWrite(payload [][]byte) (int, error) {
	w := &s.write
	w.iov, w.n, w.err = w.iov[:0], 0, nil
	for _, p := range payload {
		v := unix.Iovec{Base: unsafe.SliceData(p)}
		v.SetLen(len(p))
		w.iov = append(w.iov, v)
	}
	if err := s.raw.Write(w.call); err != nil {
		return 0, err
	}
	return w.n, w.err
}

func (s *stream) writeOnce(fd uintptr) bool {
	w := &s.write
	for {
		n, _, errno := unix.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(unsafe.SliceData(w.iov))), uintptr(len(w.iov)))
		switch errno {
		case 0:
			w.n = int(n)
		case unix.EINTR:
			continue
		case unix.EAGAIN:
		default:
			w.err = errno
		}
		return true
	}
}
