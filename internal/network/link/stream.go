package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

const (
	// header is the length that precedes each frame.
	header = 4
	// minFrame is the smallest frame: an Ethernet header without payload.
	minFrame = 14
	// readBuffer holds several of the largest frames, so that a busy guest costs one
	// system call for many.
	readBuffer = 512 << 10
)

// Stream is an endpoint over a stream socket, framed as QEMU does it for
// "-netdev stream" and "-netdev socket": four bytes with the frame's length,
// big-endian, and then the frame.
type Stream struct {
	conn net.Conn

	// buf[start:end] was read, and not delivered yet. Only Receive uses them.
	buf        []byte
	start, end int

	mu      sync.Mutex
	headers []byte
	vector  net.Buffers
}

// NewStream returns an endpoint that owns conn.
func NewStream(conn net.Conn) *Stream {
	return &Stream{conn: conn, buf: make([]byte, readBuffer)}
}

// Receive reads once and delivers all frames that are complete, or reads on until one
// is. A length that no frame can have ends the stream: what follows has no meaning.
func (s *Stream) Receive(deliver func(frame []byte)) error {
	for {
		delivered, err := s.deliver(deliver)
		if err != nil || delivered {
			return err
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}

// deliver hands over the complete frames in the buffer.
func (s *Stream) deliver(deliver func(frame []byte)) (any bool, err error) {
	for s.end-s.start >= header {
		n := binary.BigEndian.Uint32(s.buf[s.start:])
		if n < minFrame || n > MaxFrame {
			return any, fmt.Errorf("receive frame: its length is %d, not %d to %d", n, minFrame, MaxFrame)
		}
		begin := s.start + header
		if s.end-begin < int(n) {
			break
		}
		s.start = begin + int(n)
		deliver(s.buf[begin:s.start:s.start])
		any = true
	}
	return any, nil
}

// fill reads once, behind what is in the buffer.
func (s *Stream) fill() error {
	if s.start > 0 {
		s.end = copy(s.buf, s.buf[s.start:s.end])
		s.start = 0
	}
	n, err := s.conn.Read(s.buf[s.end:])
	s.end += n
	switch {
	case n > 0:
		return nil // an error comes again with the next read
	case errors.Is(err, io.EOF) && s.end > 0:
		return fmt.Errorf("receive frame: %w", io.ErrUnexpectedEOF)
	case errors.Is(err, io.EOF):
		return io.EOF
	case err != nil:
		return fmt.Errorf("receive frame: %w", err)
	}
	return nil
}

// Send writes all frames with as few system calls as their number of pieces allows.
func (s *Stream) Send(frames []Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if need := header * len(frames); cap(s.headers) < need {
		s.headers = make([]byte, need)
	}
	vector := s.vector[:0]
	for i, frame := range frames {
		size := 0
		for _, piece := range frame {
			size += len(piece)
		}
		if size < minFrame || size > MaxFrame {
			return fmt.Errorf("send frame: its length is %d, not %d to %d", size, minFrame, MaxFrame)
		}
		head := s.headers[header*i : header*i+header : header*i+header]
		binary.BigEndian.PutUint32(head, uint32(size))
		vector = append(append(vector, head), frame...)
	}
	s.vector = vector // WriteTo consumes its receiver, so it gets another
	_, err := vector.WriteTo(s.conn)
	clear(s.vector)
	if err != nil {
		return fmt.Errorf("send frames: %w", err)
	}
	return nil
}

// Close closes the connection.
func (s *Stream) Close() error { return s.conn.Close() }
