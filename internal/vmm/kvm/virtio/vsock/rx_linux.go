package vsock

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

const (
	// maxBatch is how many of the guest's buffers are filled in one turn of a stream.
	maxBatch = 32
	// maxPieces bounds what they are made of: one buffer has no more pieces than the
	// queue, and the kernel takes 1024 (IOV_MAX).
	maxPieces = 512
)

// rx is the queue of what the guest receives.
type rx struct {
	mu     sync.Mutex
	q      *virtio.Queue // nil while stopped or broken
	isHeld bool          // the guest is to learn first that its streams are no more

	// line is the streams that wait for buffers, turn the one that was told to go on.
	line fifo[*stream]
	turn *stream

	// What a turn works with.
	chains  [maxBatch]virtio.Chain
	payload [maxBatch][][]byte
	iov     []unix.Iovec
	control virtio.Chain
	head    [headerSize]byte
}

func (r *rx) init() { r.iov = make([]unix.Iovec, 0, maxPieces+256) }

// reset is what tells the guest that a stream is none.
type reset struct {
	cid  uint64 // the guest took it for the one to connect to
	key  key
	kind uint16
}

// sendReset has a reset be sent, at the next flush.
func (d *Device) sendReset(r reset) {
	if d.resets.len() < maxResets {
		d.resets.push(r)
	}
}

// runReceive goes on when the guest has made buffers available that someone waits for.
func (d *Device) runReceive(q *virtio.Queue) {
	for q.Wait() == nil {
		d.rx.mu.Lock()
		q.Disarm()
		d.pump()
		d.rx.mu.Unlock()
	}
}

// flush sends what waits that isn't data.
func (d *Device) flush() {
	d.mu.Lock()
	isIdle := d.resets.len()+d.control.len() == 0
	d.mu.Unlock()
	if isIdle {
		return
	}
	d.rx.mu.Lock()
	d.pump()
	d.rx.mu.Unlock()
}

// pump sends what isn't data, and then gives a turn to the stream that waits longest. If
// there are no buffers, the guest is asked to kick. rx.mu is held.
func (d *Device) pump() {
	r := &d.rx
	for r.q != nil && !r.isHeld {
		d.mu.Lock()
		isDone := d.sendControl()
		d.mu.Unlock()
		if r.q == nil {
			return
		}
		r.q.Signal()
		for r.line.len() > 0 && (*r.line.front()).isAllRead {
			r.line.pop()
		}
		if isDone && (r.turn != nil || r.line.len() == 0) {
			return
		}
		if !r.q.Arm() {
			return
		}
		if isDone {
			r.turn = r.line.pop()
			r.turn.isInLine = false
			r.turn.rouse()
			return
		}
	}
}

// breakDown ends the device because of what its driver did.
func (d *Device) breakDown(err error) {
	d.rx.q.Fail(err)
	d.rx.q = nil
}

// sendControl sends what isn't data, until buffers are used up; it reports whether it sent
// all. Both locks are held, and there is a queue.
func (d *Device) sendControl() bool {
	for d.resets.len() > 0 {
		r := d.resets.front()
		h := header{srcCID: r.cid, dstCID: d.config.CID, srcPort: r.key.host, dstPort: r.key.guest, kind: r.kind, op: opReset}
		if !d.sendPacket(&h) {
			return false
		}
		d.resets.pop()
	}
	for d.control.len() > 0 {
		s := *d.control.front()
		for s.pending != 0 && !s.isEnded && !s.isOff {
			next := s.pending & -s.pending
			h := s.header(next)
			if !d.sendPacket(&h) {
				return false
			}
			s.pending, s.told = s.pending&^next, h.fwdCnt
			if next == pendRequest {
				s.state = stateRequested
			}
		}
		s.pending, s.isQueued = 0, false
		d.control.pop()
	}
	return true
}

// header is that of a packet of a stream. It tells the guest how much was taken.
func (s *stream) header(pending uint32) header {
	h := header{
		srcCID: hostCID, dstCID: s.d.config.CID, srcPort: s.key.host, dstPort: s.key.guest,
		kind: typeStream, op: opData, bufAlloc: s.bufAlloc, fwdCnt: s.taken,
	}
	switch pending {
	case pendRequest:
		h.op = opRequest
	case pendResponse:
		h.op = opResponse
	case pendCredit:
		h.op = opCreditUpdate
	case pendCreditRequest:
		h.op = opCreditRequest
	case pendShutdown:
		h.op, h.flags = opShutdown, s.hostShut
	}
	return h
}

// sendPacket sends a packet without data, if the guest has a buffer.
func (d *Device) sendPacket(h *header) bool {
	r := &d.rx
	c := &r.control
	if ok, err := r.pop(c); err != nil {
		d.breakDown(err)
		return false
	} else if !ok {
		return false
	}
	h.put(&r.head)
	scatter(c.Writable, r.head[:])
	r.q.Push(c.Head, headerSize)
	return true
}

// pop takes a buffer, which has room for data too.
func (r *rx) pop(c *virtio.Chain) (bool, error) {
	if r.q == nil {
		return false, nil
	}
	ok, err := r.q.Pop(c)
	if ok && size(c.Writable) <= headerSize {
		return false, fmt.Errorf("%w: a buffer of %d bytes to receive packets", virtio.ErrQueue, size(c.Writable))
	}
	return ok, err
}
