package vsock

import "io"

func (s *sock) isAnswered() bool { return s.open || s.reset }

func (s *sock) Read(p []byte) (int, error) {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	for len(s.in) == 0 {
		switch {
		case s.shut&shutSend != 0:
			return 0, io.EOF
		case s.reset, s.g.stopping:
			return 0, errGuestReset
		}
		s.g.changed.Wait()
	}
	n := copy(p, s.in)
	if s.in = s.in[n:]; len(s.in) == 0 {
		s.in = nil
	}
	s.taken += uint32(n)
	if s.taken-s.told >= s.g.bufAlloc*3/4 && !s.reset {
		s.sendLocked(opCreditUpdate, 0, nil)
	}
	return n, nil
}

func (s *sock) Write(p []byte) (n int, err error) {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	for len(p) > 0 {
		room := int(s.alloc - (s.sent - s.fwd))
		switch {
		case s.reset, s.g.stopping:
			return n, errGuestReset
		case s.shut&shutReceive != 0:
			return n, io.ErrClosedPipe
		case room == 0:
			s.g.changed.Wait()
			continue
		}
		k := min(room, len(p), 64<<10)
		s.sent += uint32(k)
		s.sendLocked(opData, 0, p[:k])
		p, n = p[k:], n+k
	}
	return n, nil
}

// CloseWrite ends what the guest sends.
func (s *sock) CloseWrite() { s.send(opShutdown, shutSend, nil) }

// Close ends all, and waits until the host has confirmed that.
func (s *sock) Close() {
	s.g.mu.Lock()
	if !s.reset {
		s.sendLocked(opShutdown, shutBoth, nil)
	}
	s.g.mu.Unlock()
	s.g.wait(func() bool { return s.reset })
}
