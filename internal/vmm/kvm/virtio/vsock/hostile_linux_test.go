package vsock

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/virtiotest"
)

// TestHostilePackets has a guest with one stream send what it must not: that stream or a
// new one is reset, or nothing happens, and all else works.
func TestHostilePackets(t *testing.T) {
	const port = 100
	for name, c := range map[string]struct {
		change func(*header)
		extra  int  // bytes sent beyond header.length
		ends   bool // the stream
		reply  bool // a reset for what was sent
	}{
		"another guest":          {change: func(h *header) { h.srcCID = 9 }},
		"another host":           {change: func(h *header) { h.dstCID = 9 }, reply: true},
		"unknown type":           {change: func(h *header) { h.kind = 7 }, reply: true},
		"sequenced packets":      {change: func(h *header) { h.kind, h.op = 2, opRequest }, reply: true},
		"no operation":           {change: func(h *header) { h.op = 0 }, ends: true},
		"unknown operation":      {change: func(h *header) { h.op = 8 }, ends: true},
		"request of a stream":    {change: func(h *header) { h.op = opRequest }, ends: true},
		"response of a stream":   {change: func(h *header) { h.op = opResponse }, ends: true},
		"too short":              {change: func(h *header) { h.length = 1 }, extra: -1, ends: true},
		"far too short":          {change: func(h *header) { h.length = ^uint32(0) }, extra: 5, ends: true},
		"data of none":           {change: func(h *header) { h.srcPort++ }, reply: true},
		"shutdown of none":       {change: func(h *header) { h.srcPort++; h.op = opShutdown }, reply: true},
		"credit of none":         {change: func(h *header) { h.srcPort++; h.op = opCreditRequest }, reply: true},
		"reset of none":          {change: func(h *header) { h.srcPort++; h.op = opReset }},
		"request beyond memory":  {change: func(h *header) { h.srcPort++; h.op, h.length = opRequest, 1000 }, extra: -1000, reply: true},
		"lies about credit":      {change: func(h *header) { h.bufAlloc, h.fwdCnt, h.op = ^uint32(0), 1<<31, opCreditUpdate }},
		"unknown flags":          {change: func(h *header) { h.op, h.flags = opShutdown, 0xfffffffc }},
		"more bytes than length": {change: func(h *header) {}, extra: 100},
	} {
		t.Run(name, func(t *testing.T) {
			g, _, dl := start(t)
			s, _ := connect(t, g, dl, port)
			h := s.header(opData, 0, 0)
			c.change(&h)
			g.raw(h, make([]byte, max(0, int(int32(h.length))+c.extra)))
			k := key{h.dstPort, h.srcPort}
			if c.ends {
				g.wait(func() bool { return s.reset })
			}
			if c.reply {
				g.wait(func() bool { return g.has(opReset, k) })
			}
			other, conn := connect(t, g, dl, port+5)
			exchange(t, other, conn, random(1000), random(1000))
			g.mu.Lock()
			defer g.mu.Unlock()
			if s.reset != c.ends || g.has(opReset, k) != (c.reply || c.ends) || g.x.NeedsReset() {
				t.Errorf("the stream is reset: %v, resets %+v", s.reset, g.log)
			}
		})
	}
}

func TestTooMuchData(t *testing.T) {
	g, _, dl := start(t)
	s, _ := connect(t, g, dl, 100)
	g.wait(func() bool { return s.alloc > 0 })
	for range 20 { // the host does not read; the socket has room for some
		s.send(opData, 0, make([]byte, 64<<10))
	}
	g.wait(func() bool { return s.reset })
}

func TestTooManyStreams(t *testing.T) {
	block := make(chan struct{})
	d := New(Config{CID: guestCID, Dial: func(uint32) (Conn, error) { <-block; return nil, errors.New("no") }})
	defer d.Close()
	g := newGuest(t).boot(d, 256)
	for i := range uint32(maxStreams) {
		g.dial(openPort, 1000+i)
	}
	s := g.dial(openPort, 99)
	g.wait(s.isAnswered)
	ours, theirs := pair(t)
	d.Connect(80, ours)
	if _, err := theirs.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("one stream too many: %v", err)
	}
	close(block)
	g.wait(func() bool { return len(g.socks) == 0 })
	if s.open {
		t.Error("one connection too many is open")
	}
}

func TestBadBuffers(t *testing.T) {
	for name, space := range map[string]int{"none": 0, "a header": headerSize} {
		t.Run(name, func(t *testing.T) {
			d := New(Config{CID: guestCID})
			defer d.Close()
			x := virtiotest.Start(t, d, 16, 0)
			x.Add(0, virtiotest.Piece{Space: space})
			ours, _ := pair(t)
			d.Connect(80, ours)
			if why := x.WaitForInterrupt(); why&2 == 0 || !x.NeedsReset() {
				t.Errorf("interrupt %d", why)
			}
		})
	}
}

func TestConfiguration(t *testing.T) {
	d := New(Config{CID: 0x1_0000_0003})
	defer d.Close()
	x := virtiotest.Start(t, d, 16, 0)
	if got := binary.LittleEndian.Uint64(x.Config(0, 8)); got != 0x1_0000_0003 || d.ID() != 19 {
		t.Errorf("address %#x", got)
	}
}

// FuzzPacket sends arbitrary packets to a device with some streams.
func FuzzPacket(f *testing.F) {
	var b [headerSize]byte
	for op := range uint16(9) {
		for _, flags := range []uint32{0, 3} {
			h := header{srcCID: guestCID, dstCID: hostCID, srcPort: 100, dstPort: openPort, kind: typeStream, op: op, flags: flags, length: 8, bufAlloc: 1 << 16}
			h.put(&b)
			f.Add(append(b[:], "contents"...))
		}
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		var others []*net.UnixConn
		d := New(Config{CID: guestCID, Dial: func(uint32) (Conn, error) { return nil, errors.New("no") }})
		defer func() {
			_ = d.Close()
			if len(d.all) != 0 || d.wide != 0 {
				t.Errorf("%d streams are left", len(d.all))
			}
			for _, c := range others {
				_ = c.Close()
			}
		}()
		for i := range uint32(4) {
			ours, theirs := pair(t)
			others = append(others, theirs)
			d.mu.Lock()
			s := d.add(key{openPort, 100 + i}, stateRequested)
			s.attach(ours)
			if i < 2 {
				d.open(s)
			}
			d.mu.Unlock()
		}
		for len(p) > 0 { // packets of up to 64 bytes, each in two pieces
			n := min(len(p), 64)
			q := append([]byte(nil), p[:n]...)
			d.receive([][]byte{q[:n/2], q[n/2:]})
			d.flush()
			p = p[n:]
		}
		if d.resets.len() > maxResets || d.control.len() > 2*maxStreams {
			t.Error("too much waits to be sent")
		}
	})
}
