package vsock

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// read is the goroutine that passes what the host sends.
func (s *stream) read() {
	defer s.d.leave(s)
	if s.raw != nil {
		s.readInPlace()
		return
	}
	memory := make([]byte, 32<<10)
	for {
		n, err := s.conn.Read(memory)
		s.left = memory[:n]
		for len(s.left) > 0 {
			switch s.d.fill(s, -1) {
			case blocked:
				<-s.wake
			case ended:
				s.d.hostShuts(s, shutSend)
				return
			case over, failed:
				return
			}
		}
		if err != nil {
			flags := uint32(shutSend)
			if !errors.Is(err, io.EOF) {
				flags = shutBoth
			}
			s.d.hostShuts(s, flags)
			return
		}
	}
}

// readInPlace has the kernel read into the guest's memory. When the host does not send any
// more, it waits until it does not receive either.
func (s *stream) readInPlace() {
	isEnded := false
	look := func(fd uintptr) bool { return s.look(int(fd), &isEnded) }
	for {
		err := s.raw.Read(look)
		if err == nil {
			return
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			s.d.hostShuts(s, shutBoth)
			return
		}
		// That was to have us look.
		_ = s.conn.SetReadDeadline(time.Time{})
	}
}

// look is called when there may be something to read. It reports whether that was the
// last time.
func (s *stream) look(fd int, isEnded *bool) bool {
	if !s.isStarted.Load() {
		return s.d.isOver(s) || hasLeft(fd) && s.d.abandon(s)
	}
	for {
		if *isEnded {
			if s.d.isOver(s) {
				return true
			}
			if isHungUp(fd) {
				s.d.hostShuts(s, shutBoth)
				return true
			}
			return false
		}
		switch s.d.fill(s, fd) {
		case nothingYet:
			return false
		case blocked:
			<-s.wake
		case ended:
			*isEnded = true
			s.d.hostShuts(s, shutSend)
		case failed:
			s.d.hostShuts(s, shutBoth)
			return true
		case over:
			return true
		}
	}
}

// hasLeft reports whether the other end of a socket is closed, and has sent nothing.
func hasLeft(fd int) bool {
	if !isHungUp(fd) {
		return false
	}
	var b [1]byte
	n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return n <= 0 && !errors.Is(err, unix.EAGAIN)
}

// abandon ends a stream that the guest has not answered.
func (d *Device) abandon(s *stream) bool {
	d.mu.Lock()
	isOpen := s.state == stateOpen // just now
	if !isOpen {
		d.reset(s)
	}
	d.mu.Unlock()
	d.flush()
	return !isOpen
}

// discard ends what the host sends, and takes what it has sent that nobody will read. Who
// waits for room to write there finds out; and else closing the socket would be an error
// to the host (ECONNRESET), although it has got all that the guest sent.
func (s *stream) discard() {
	c, ok := s.conn.(interface{ CloseRead() error })
	if s.raw == nil || !ok || c.CloseRead() != nil { // no more comes after that
		return
	}
	_ = s.raw.Control(func(fd uintptr) {
		p := chunks.Get().(*[chunkSize]byte)
		defer chunks.Put(p)
		for {
			n, err := unix.Read(int(fd), p[:])
			if n <= 0 && !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
}

// isHungUp reports whether the other end of a socket is closed.
func isHungUp(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(p, 0)
	return err == nil && n > 0 && p[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
}

// hostShuts is for when the host does not send or receive any more.
func (d *Device) hostShuts(s *stream, flags uint32) {
	d.mu.Lock()
	if flags&shutReceive != 0 {
		d.deafen(s)
	}
	d.shut(s, flags)
	shutRead := s.guestShut&shutReceive != 0
	d.mu.Unlock()
	if shutRead {
		s.discard() // who writes there is to find out that nobody reads
	}
	d.flush()
}
