package link

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
)

// pipeBuffer is how much waits in one direction before the sender does.
const pipeBuffer = 1 << 20

// Pipe returns two endpoints that are each other's guest, in memory. Closing one
// closes both; what was sent before is still received.
func Pipe() (a, b Endpoint) {
	there, back := newQueue(), newQueue()
	return &pipe{in: back, out: there}, &pipe{in: there, out: back}
}

type pipe struct{ in, out *queue }

func (p *pipe) Receive(deliver func(frame []byte)) error { return p.in.receive(deliver) }
func (p *pipe) Send(frames []Frame) error                { return p.out.send(frames) }

func (p *pipe) Close() error {
	p.in.close()
	p.out.close()
	return nil
}

// queue is one direction: frames with their lengths, one after the other. The receiver
// swaps buffers with the sender, so both work at the same time.
type queue struct {
	mu      sync.Mutex
	changed sync.Cond // of waiting or closed
	waiting []byte
	closed  bool

	spare []byte // the receiver's
}

func newQueue() *queue {
	q := new(queue)
	q.changed.L = &q.mu
	return q
}

func (q *queue) send(frames []Frame) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, frame := range frames {
		size := 0
		for _, piece := range frame {
			size += len(piece)
		}
		if size < minFrame || size > MaxFrame {
			return fmt.Errorf("send frame: its length is %d, not %d to %d", size, minFrame, MaxFrame)
		}
		for !q.closed && len(q.waiting) > 0 && len(q.waiting)+header+size > pipeBuffer {
			q.changed.Broadcast()
			q.changed.Wait()
		}
		if q.closed {
			return fmt.Errorf("send frames: %w", net.ErrClosed)
		}
		q.waiting = binary.BigEndian.AppendUint32(q.waiting, uint32(size))
		for _, piece := range frame {
			q.waiting = append(q.waiting, piece...)
		}
	}
	q.changed.Broadcast()
	return nil
}

func (q *queue) receive(deliver func(frame []byte)) error {
	q.mu.Lock()
	for len(q.waiting) == 0 && !q.closed {
		q.changed.Wait()
	}
	if len(q.waiting) == 0 {
		q.mu.Unlock()
		return io.EOF
	}
	frames := q.waiting
	q.waiting = q.spare[:0]
	q.spare = nil
	q.changed.Broadcast()
	q.mu.Unlock()

	for rest := frames; len(rest) > 0; {
		end := header + int(binary.BigEndian.Uint32(rest))
		deliver(rest[header:end:end])
		rest = rest[end:]
	}
	q.mu.Lock()
	q.spare = frames
	q.mu.Unlock()
	return nil
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Broadcast()
}
