package vsock

import (
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

// tx is the queue of what the guest sends.
type tx struct {
	chain virtio.Chain
	head  [headerSize]byte
}

// flushAfter is how many packets are taken before answers to them are sent.
const flushAfter = 32

// transmit takes the packets that there are.
func (d *Device) transmit(q *virtio.Queue) error {
	c := &d.tx.chain
	n := 0
	for {
		ok, err := q.Pop(c)
		if ok {
			d.receive(c.Readable)
			q.Push(c.Head, 0)
			n++
		}
		if n == flushAfter || n > 0 && !ok {
			q.Signal()
			d.flush()
			n = 0
		}
		if !ok {
			return err
		}
	}
}

// receive takes one packet. What does not make sense is answered by a reset, and if that
// isn't possible, dropped.
func (d *Device) receive(pieces [][]byte) {
	payload, ok := gather(d.tx.head[:], pieces)
	h := parse(&d.tx.head)
	if !ok || h.srcCID != d.config.CID {
		d.log.Debug("a packet of the guest is none")
		return
	}
	payload, ok = limit(payload, uint64(h.length))
	d.mu.Lock()
	defer d.mu.Unlock()
	k := key{host: h.dstPort, guest: h.srcPort}
	var s *stream
	if h.dstCID == hostCID && h.kind == typeStream {
		s = d.streams[k]
	}
	switch {
	case s != nil && s.state == stateWaiting:
		// The guest can't know it.
		d.refuse(&h)
	case s != nil && !ok:
		d.log.Debug("a packet of the guest is too short", "port", h.dstPort)
		d.reset(s)
	case s != nil:
		d.update(s, &h, payload)
	case ok && h.op == opRequest && h.dstCID == hostCID && h.kind == typeStream:
		d.request(k, &h)
	default:
		d.refuse(&h)
	}
}

// refuse answers a packet of no stream (5.10.6.4.2), but never a reset by another.
func (d *Device) refuse(h *header) {
	if h.op != opReset {
		d.sendReset(reset{cid: h.dstCID, key: key{host: h.dstPort, guest: h.srcPort}, kind: h.kind})
	}
}

// request is the guest connecting to a port of the host.
func (d *Device) request(k key, h *header) {
	var s *stream
	if d.config.Dial != nil {
		s = d.add(k, stateDialling)
	}
	if s == nil {
		d.refuse(h)
		return
	}
	s.peerAlloc, s.peerTaken = h.bufAlloc, h.fwdCnt
	d.others.Go(func() {
		conn, err := d.config.Dial(k.host)
		if err != nil {
			d.log.Debug("the guest is refused", "port", k.host, "err", err)
		}
		d.answer(s, conn, err)
		d.flush()
	})
}

// answer is for when Dial has returned.
func (d *Device) answer(s *stream, conn Conn, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err != nil || conn == nil:
		d.reset(s)
		d.remove(s)
	case s.isEnded: // meanwhile
		s.attach(conn)
		s.isEnded = false
		d.end(s)
	default:
		s.attach(conn)
		d.send(s, pendResponse)
		d.open(s)
	}
}

// update is a packet of a stream.
func (d *Device) update(s *stream, h *header, payload [][]byte) {
	s.peerAlloc, s.peerTaken = h.bufAlloc, h.fwdCnt
	if s.lacksCredit {
		s.lacksCredit = false
		s.rouse()
	}
	isOpen := s.state == stateOpen
	switch {
	case h.op == opReset:
		d.forget(s)
	case h.op == opResponse && s.state == stateRequested:
		d.open(s)
	case h.op == opData && isOpen && s.guestShut&shutSend == 0 && h.length <= s.bufAlloc-(s.received-s.taken):
		s.received += h.length
		if h.length > 0 {
			d.deliver(s, payload)
		}
	case h.op == opShutdown && isOpen:
		s.guestShut |= h.flags & shutBoth
		if s.guestShut&shutReceive != 0 {
			s.rouse()
		}
		if s.guestShut&shutSend != 0 {
			d.startDrain(s) // it ends what the host receives
		}
	case h.op == opCreditUpdate && isOpen:
	case h.op == opCreditRequest && isOpen:
		d.send(s, pendCredit)
	default:
		d.log.Debug("a packet of the guest is not possible", "op", h.op, "port", h.dstPort, "state", s.state)
		d.reset(s)
	}
}
