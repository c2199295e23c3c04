package vsock

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// What came of a turn.
type outcome int

const (
	sentSome   outcome = iota // there may be more
	nothingYet                // the host has sent nothing
	blocked                   // wait to be roused
	ended                     // the host does not send any more, or the guest does not receive
	failed                    // as ended, and nothing can be sent to the host either
	over                      // the stream has ended
)

// fill is a turn of a stream: it reads from the host into buffers of the guest, from the
// descriptor or, if that is negative, from what is left of what was read before.
func (d *Device) fill(s *stream, fd int) outcome {
	r := &d.rx
	r.mu.Lock()
	defer r.mu.Unlock()
	isTurn := r.turn == s
	if isTurn {
		r.turn = nil
	}
	got := blocked
	if r.q != nil && !r.isHeld && (isTurn || r.turn == nil && r.line.len() == 0) {
		got = d.fillNow(s, fd)
	} else if d.isOver(s) {
		return over
	} else {
		r.enlist(s)
	}
	if r.q != nil {
		r.q.Signal()
	}
	if got == blocked || isTurn || r.line.len() > 0 {
		d.pump()
	}
	return got
}

func (d *Device) isOver(s *stream) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return s.isEnded || s.isOff
}

// enlist has a stream wait for its turn.
func (r *rx) enlist(s *stream) {
	if !s.isInLine {
		s.isInLine = true
		if r.line.len() >= 2*maxStreams {
			r.line.keep(func(s *stream) bool { return !s.isAllRead })
		}
		r.line.push(s)
	}
}

// leave is for a stream that does not want a turn any more.
func (d *Device) leave(s *stream) {
	r := &d.rx
	r.mu.Lock()
	defer r.mu.Unlock()
	s.isAllRead = true
	if r.turn == s {
		r.turn = nil
	}
	d.pump()
}

// fillNow is a turn. There is a queue.
func (d *Device) fillNow(s *stream, fd int) outcome {
	r := &d.rx
	d.mu.Lock()
	switch {
	case s.isEnded || s.isOff:
		d.mu.Unlock()
		return over
	case s.guestShut&shutReceive != 0:
		d.mu.Unlock()
		return ended
	case !d.sendControl():
		d.mu.Unlock()
		r.enlist(s)
		return blocked
	}
	room := s.credit()
	if room == 0 {
		s.lacksCredit = true
		if !s.hasAsked {
			s.hasAsked = true
			d.send(s, pendCreditRequest)
		}
		d.mu.Unlock()
		return blocked
	}
	s.hasAsked = false
	h := s.header(0)
	d.mu.Unlock()
	n := d.prepare(s, room)
	if n < 0 {
		return over
	}
	if n == 0 {
		r.enlist(s)
		return blocked
	}
	return d.fillChains(s, fd, n, h)
}

// prepare takes as many buffers as the stream is to fill, and has r.iov be where their
// data goes. It returns their number, or -1 if the device is broken.
func (d *Device) prepare(s *stream, room uint32) int {
	r := &d.rx
	r.iov = r.iov[:0]
	n := 0
	for left := uint64(room); n < s.batch && left > 0 && len(r.iov) < maxPieces; n++ {
		c := &r.chains[n]
		ok, err := r.pop(c)
		if err != nil {
			for ; n > 0; n-- {
				r.q.Undo()
			}
			d.breakDown(err)
			return -1
		}
		if !ok {
			break
		}
		// The header goes where the chain begins: its slices stay as they are.
		p := append(r.payload[n][:0], c.Writable...)
		r.payload[n] = p
		for have := headerSize; have > 0; {
			k := min(have, len(p[0]))
			p, have = skip(p, k), have-k
		}
		p, _ = limit(p, left)
		left -= size(p)
		for _, b := range p {
			v := unix.Iovec{Base: unsafe.SliceData(b)}
			v.SetLen(len(b))
			r.iov = append(r.iov, v)
		}
	}
	return n
}

// fillChains reads into n buffers and gives those to the guest that something was read
// into.
func (d *Device) fillChains(s *stream, fd, n int, h header) outcome {
	r := &d.rx
	count, err := s.readInto(fd, r.iov)
	if count <= 0 {
		for range n {
			r.q.Undo()
		}
		s.batch = 1
		switch {
		case err == unix.EAGAIN: //nolint:errorlint // it is from the kernel
			return nothingYet
		case err != nil:
			return failed
		}
		return ended
	}
	s.sent += uint32(count)
	used := 0
	for left := uint64(count); left > 0; used++ {
		c := &r.chains[used]
		length := min(left, size(c.Writable)-headerSize)
		left -= length
		h.length = uint32(length)
		h.put(&r.head)
		scatter(c.Writable, r.head[:])
		r.q.Push(c.Head, headerSize+h.length)
	}
	for range n - used {
		r.q.Undo()
	}
	if s.batch = min(2*used, maxBatch); used < n {
		s.batch = max(used, 1)
	}
	return sentSome
}

// readInto reads what there is.
func (s *stream) readInto(fd int, iov []unix.Iovec) (int, error) {
	if fd < 0 {
		n := 0
		for _, v := range iov {
			n += copy(unsafe.Slice(v.Base, v.Len), s.left[n:])
		}
		s.left = s.left[n:]
		if n == 0 {
			return 0, unix.EAGAIN
		}
		return n, nil
	}
	for {
		n, _, errno := unix.Syscall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(iov))), uintptr(len(iov)))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
			continue
		}
		return -1, errno
	}
}
