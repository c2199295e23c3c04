package vsock

import (
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/virtiotest"
)

const (
	guestCID   = 3
	rxBuffer   = 4096
	rxStart    = 4 << 20
	txStart    = 8 << 20
	txSlots    = 64
	txSlot     = headerSize + 64<<10
	eventStart = 3 << 20
	queueSpace = 64 << 10 // as virtiotest lays queues out
)

var errGuestReset = errors.New("reset by the host")

// ring is a queue of the guest.
type ring struct {
	x           *virtiotest.Driver
	n           int
	size        uint16
	avail, used []byte
	next        uint16
}

func newRing(x *virtiotest.Driver, n int, size uint16) *ring {
	all := x.Bytes(uint64(n+1)*queueSpace, queueSpace)
	return &ring{x: x, n: n, size: size, avail: all[16*int(size):], used: all[queueSpace/2:]}
}

// take returns a buffer that came back.
func (r *ring) take() (head uint16, written uint32, ok bool) {
	if virtio.Load16(r.used, 2) == r.next {
		virtio.Store16(r.avail, 4+2*int(r.size), r.next)
		if virtio.Load16(r.used, 2) == r.next {
			return 0, 0, false
		}
	}
	e := r.used[4+8*int(r.next%r.size):]
	r.next++
	return uint16(binary.LittleEndian.Uint32(e)), binary.LittleEndian.Uint32(e[4:]), true
}

func (r *ring) add(head uint16) {
	i := virtio.Load16(r.avail, 2)
	binary.LittleEndian.PutUint16(r.avail[4+2*int(i%r.size):], head)
	virtio.Store16(r.avail, 2, i+1)
}

// guest is a socket stack in the guest, as far as tests need one.
type guest struct {
	t          testing.TB
	x          *virtiotest.Driver
	mu         sync.Mutex
	changed    *sync.Cond
	rx, tx, ev *ring
	free       []uint16 // slots to send in
	socks      map[key]*sock
	listeners  map[uint32]func(*sock)
	packets    int      // how many came
	log        []header // what came that isn't data
	events     int
	holdRX     bool // buffers aren't given back
	held       []uint16
	bufAlloc   uint32
	stopping   bool
	done       chan struct{}
}

// sock is a socket of it.
type sock struct {
	g              *guest
	key            key
	open, reset    bool
	shut           uint32 // of the host
	in             []byte
	taken, told    uint32
	sent           uint32
	alloc, fwd     uint32
	received       uint32
	creditRequests int
	isSink         bool // what it receives is forgotten
}

func newGuest(t testing.TB) *guest {
	g := &guest{t: t, bufAlloc: 256 << 10, listeners: map[uint32]func(*sock){}, done: make(chan struct{})}
	g.changed = sync.NewCond(&g.mu)
	return g
}

// boot has it find its device.
func (g *guest) boot(d *Device, size uint16) *guest {
	g.t.Helper()
	g.x = virtiotest.Start(g.t, d, size, 0)
	g.setUp(size)
	go g.run()
	g.t.Cleanup(g.stop)
	return g
}

// setUp gives the device its buffers.
func (g *guest) setUp(size uint16) {
	g.socks = map[key]*sock{}
	g.rx, g.tx, g.ev = newRing(g.x, 0, size), newRing(g.x, 1, size), newRing(g.x, 2, min(size, 16))
	g.free = nil
	for i := range min(size, txSlots) {
		g.free = append(g.free, i)
	}
	for i := range size {
		g.x.Describe(0, i, rxStart+uint64(i)*8192, headerSize+rxBuffer, 2, 0)
		g.rx.add(i)
	}
	for i := range g.ev.size {
		g.x.Describe(2, i, eventStart+uint64(i)*16, 4, 2, 0)
		g.ev.add(i)
	}
	g.x.Kick(0)
	g.x.Kick(2)
}

func (g *guest) stop() {
	g.mu.Lock()
	g.stopping = true
	g.changed.Broadcast()
	g.mu.Unlock()
	g.x.Transport.ConfigChanged() // to be interrupted
	g.x.Set(0x70, 0)
	<-g.done
}

// run is the guest's interrupt handler. It touches the device with the lock held alone:
// the device may be replaced.
func (g *guest) run() {
	defer close(g.done)
	for {
		g.mu.Lock()
		if g.stopping {
			g.mu.Unlock()
			return
		}
		g.x.Acknowledge()
		g.poll()
		g.mu.Unlock()
		g.x.Await()
	}
}

func (g *guest) poll() {
	for {
		head, _, ok := g.tx.take()
		if !ok {
			break
		}
		g.free = append(g.free, head)
		g.changed.Broadcast()
	}
	given := 0
	for {
		head, written, ok := g.rx.take()
		if !ok {
			break
		}
		g.receive(g.x.Bytes(rxStart+uint64(head)*8192, uint64(written)))
		if g.holdRX {
			g.held = append(g.held, head)
			continue
		}
		g.rx.add(head)
		if given++; given%64 == 0 {
			g.x.Kick(0)
		}
	}
	if given > 0 {
		g.x.Kick(0)
	}
	for {
		head, _, ok := g.ev.take()
		if !ok {
			break
		}
		g.events++
		for _, s := range g.socks {
			s.reset = true
		}
		clear(g.socks)
		g.ev.add(head)
		g.x.Kick(2)
		g.changed.Broadcast()
	}
}

// giveBack undoes holdRX.
func (g *guest) giveBack() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holdRX = false
	for _, head := range g.held {
		g.rx.add(head)
	}
	g.held = nil
	g.x.Kick(0)
}

func (g *guest) receive(p []byte) {
	g.packets++
	g.changed.Broadcast()
	h := parse((*[headerSize]byte)(p))
	p = p[headerSize:]
	if int(h.length) != len(p) || h.srcCID != hostCID && h.op != opReset || h.dstCID != guestCID {
		g.t.Errorf("packet %+v with %d bytes", h, len(p))
	}
	if h.op != opData {
		g.log = append(g.log, h)
	}
	defer g.changed.Broadcast()
	k := key{h.srcPort, h.dstPort}
	if h.srcCID != hostCID || h.kind != typeStream {
		return // there are no such sockets
	}
	s := g.socks[k]
	if s == nil {
		switch l := g.listeners[h.dstPort]; {
		case h.op == opRequest && l != nil:
			s = &sock{g: g, key: k, open: true, alloc: h.bufAlloc, fwd: h.fwdCnt}
			g.socks[k] = s
			s.sendLocked(opResponse, 0, nil)
			go l(s)
		case h.op != opReset:
			(&sock{g: g, key: k}).sendLocked(opReset, 0, nil)
		}
		return
	}
	s.alloc, s.fwd = h.bufAlloc, h.fwdCnt
	switch h.op {
	case opResponse:
		s.open = true
	case opReset:
		s.reset = true
		delete(g.socks, k)
	case opShutdown:
		s.shut |= h.flags
		if s.shut == shutBoth && len(s.in) == 0 {
			s.sendLocked(opReset, 0, nil)
			s.reset = true
			delete(g.socks, k)
		}
	case opData:
		s.received += uint32(len(p))
		if s.isSink {
			s.taken += uint32(len(p))
			if s.taken-s.told >= g.bufAlloc/2 {
				s.sendLocked(opCreditUpdate, 0, nil)
			}
			return
		}
		s.in = append(s.in, p...)
		if s.received-s.taken > g.bufAlloc {
			g.t.Errorf("the device sent %d bytes more than there is room for", s.received-s.taken-g.bufAlloc)
		}
	case opCreditRequest:
		s.creditRequests++
		s.sendLocked(opCreditUpdate, 0, nil)
	}
}

// reserve waits until there is a slot. Packets are received meanwhile, and answered.
func (g *guest) reserve() {
	for len(g.free) == 0 && !g.stopping {
		g.mu.Unlock()
		runtime.Gosched()
		g.mu.Lock()
		g.poll()
	}
}

// put sends a packet as it is.
func (g *guest) put(h header, p []byte) {
	if g.reserve(); g.stopping {
		return
	}
	slot := g.free[0]
	g.free = g.free[1:]
	at := txStart + uint64(slot)*txSlot
	b := g.x.Bytes(at, uint64(headerSize+len(p)))
	h.put((*[headerSize]byte)(b))
	copy(b[headerSize:], p)
	g.x.Describe(1, slot, at, uint32(len(b)), 0, 0)
	g.tx.add(slot)
	g.x.Kick(1)
}

func (g *guest) raw(h header, p []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.put(h, p)
}

func (s *sock) header(op uint16, flags uint32, n int) header {
	s.told = s.taken
	return header{
		srcCID: guestCID, dstCID: hostCID, srcPort: s.key.guest, dstPort: s.key.host, length: uint32(n),
		kind: typeStream, op: op, flags: flags, bufAlloc: s.g.bufAlloc, fwdCnt: s.taken,
	}
}

func (s *sock) sendLocked(op uint16, flags uint32, p []byte) {
	s.g.reserve() // the header is to be the latest
	s.g.put(s.header(op, flags, len(p)), p)
}

func (s *sock) send(op uint16, flags uint32, p []byte) {
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	s.sendLocked(op, flags, p)
}

// wait waits until something is so.
func (g *guest) wait(is func() bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !is() && !g.stopping {
		g.changed.Wait()
	}
}

// dial begins a connection, without waiting for the answer.
func (g *guest) dial(host, port uint32) *sock {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := &sock{g: g, key: key{host, port}}
	g.socks[s.key] = s
	s.sendLocked(opRequest, 0, nil)
	return s
}

// has reports whether a packet came.
func (g *guest) has(op uint16, k key) bool {
	return slices.ContainsFunc(g.log, func(h header) bool { return h.op == op && h.srcPort == k.host && h.dstPort == k.guest })
}
