// Package virtiotest is a guest's driver for tests of devices: it sets up a device by its
// registers and passes buffers through its queues, by the rules or against them.
package virtiotest

import (
	"context"
	"encoding/binary"
	"log/slog"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/memory"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

const (
	memorySize = 16 << 20
	queueSpace = 64 << 10 // for the parts of one queue
	dataStart  = 4 << 20
	patience   = time.Minute
)

// Registers that a driver writes.
const (
	driverFeatures   = 0x020
	driverFeatureSel = 0x024
	queueSel         = 0x030
	queueNumMax      = 0x034
	queueNum         = 0x038
	queueReady       = 0x044
	interruptStatus  = 0x060
	interruptACK     = 0x064
	status           = 0x070
	queueDesc        = 0x080
	queueDriver      = 0x090
	queueDevice      = 0x0a0
	config           = 0x100
)

// Driver drives one device. It is for one goroutine.
type Driver struct {
	t         testing.TB
	Memory    *memory.Memory
	Transport *virtio.Transport
	queues    []*queue
	free      uint64 // where data goes next
	raised    chan struct{}
}

// queue is the driver's side of one.
type queue struct {
	size              uint16
	desc, avail, used []byte
	nextDesc, nextUse uint16
}

// Used is a buffer that the device has given back.
type Used struct {
	Head    uint16
	Written uint32
	// Data is what the device may have written to, all of it.
	Data []byte
}

// Start sets up a device, with all features that it offers but for those in without, and
// queues of at most size.
func Start(t testing.TB, d virtio.Device, size uint16, without uint64) *Driver {
	t.Helper()
	m, err := memory.New(memorySize, false)
	if err != nil {
		t.Fatal(err)
	}
	x := &Driver{t: t, Memory: m, free: dataStart, raised: make(chan struct{}, 1)}
	x.Transport, err = virtio.New(d, m, x.raise, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Transport.Close(); err != nil {
			t.Error(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	x.Init(size, (d.Features()|virtio.FeatureIndirect|virtio.FeatureEventIndex|virtio.FeatureVersion1)&^without)
	if got := x.Get(status); got != 15 {
		t.Fatalf("the device has status %d", got)
	}
	return x
}

// Restart goes on with another device, in the place and state of the one before.
func (x *Driver) Restart(d virtio.Device, s virtio.TransportState) {
	x.t.Helper()
	if err := x.Transport.Close(); err != nil {
		x.t.Fatal(err)
	}
	var err error
	x.Transport, err = virtio.New(d, x.Memory, x.raise, slog.New(slog.DiscardHandler))
	if err != nil {
		x.t.Fatal(err)
	}
	if err := x.Transport.Restore(s); err != nil {
		x.t.Fatal(err)
	}
	x.Transport.Resume()
}

func (x *Driver) raise() {
	select {
	case x.raised <- struct{}{}:
	default:
	}
}

// Init resets the device and sets it up (3.1.1).
func (x *Driver) Init(size uint16, features uint64) {
	x.Set(status, 0)
	x.Set(status, 1|2)
	for half := range uint32(2) {
		x.Set(driverFeatureSel, half)
		x.Set(driverFeatures, uint32(features>>(32*half)))
	}
	x.Set(status, 1|2|8)
	x.queues = nil
	for i := uint32(0); ; i++ {
		x.Set(queueSel, i)
		most := x.Get(queueNumMax)
		if most == 0 {
			break
		}
		n := min(size, uint16(min(most, 1024)))
		base := uint64(i+1) * queueSpace
		x.Set(queueNum, uint32(n))
		desc, avail, used := base, base+uint64(n)*16, base+queueSpace/2
		for _, r := range []struct {
			at      uint32
			address uint64
		}{{queueDesc, desc}, {queueDriver, avail}, {queueDevice, used}} {
			x.Set(r.at, uint32(r.address))
			x.Set(r.at+4, uint32(r.address>>32))
		}
		all := x.Bytes(base, queueSpace)
		clear(all)
		x.queues = append(x.queues, &queue{size: n, desc: all, avail: all[avail-base:], used: all[used-base:]})
		x.Set(queueReady, 1)
	}
	x.Set(status, 1|2|8|4)
}

// Bytes is the guest's memory at an address.
func (x *Driver) Bytes(address, n uint64) []byte {
	x.t.Helper()
	b, err := x.Memory.Slice(address, n)
	if err != nil {
		x.t.Fatal(err)
	}
	return b
}

// Get reads a register.
func (x *Driver) Get(offset uint32) uint32 {
	var b [4]byte
	x.Transport.Read(offset, b[:])
	return binary.LittleEndian.Uint32(b[:])
}

// Set writes a register.
func (x *Driver) Set(offset, value uint32) {
	x.Transport.Write(offset, binary.LittleEndian.AppendUint32(nil, value))
}

// Config reads from the device's configuration.
func (x *Driver) Config(offset uint32, n int) []byte {
	b := make([]byte, n)
	x.Transport.Read(config+offset, b)
	return b
}

// NeedsReset reports whether the device has given up.
func (x *Driver) NeedsReset() bool { return x.Get(status)&64 != 0 }

// Piece is a piece of a buffer: content for the device to read, or space to write to.
type Piece struct {
	Content []byte
	Space   int
}

// Add makes a buffer available in a queue, without telling. What it is made of begins at
// the address returned.
func (x *Driver) Add(n int, pieces ...Piece) (head uint16, address uint64) {
	x.t.Helper()
	q := x.queues[n]
	head, address = q.nextDesc%q.size, x.free
	for i, p := range pieces {
		flags := uint16(0)
		length := uint64(len(p.Content))
		if p.Content == nil {
			flags, length = 2, uint64(p.Space)
		}
		if i < len(pieces)-1 {
			flags |= 1
		}
		if x.free+length > memorySize {
			x.free = dataStart // what was there is used, one may hope
			if i == 0 {
				address = x.free
			}
		}
		b := x.Bytes(x.free, length)
		copy(b, p.Content)
		d := q.nextDesc % q.size
		q.nextDesc++
		x.Describe(n, d, x.free, uint32(length), flags, q.nextDesc%q.size)
		x.free += length
	}
	x.MakeAvailable(n, head)
	return head, address
}

// Describe writes a descriptor.
func (x *Driver) Describe(n int, at uint16, address uint64, length uint32, flags, next uint16) {
	d := x.queues[n].desc[int(at)*16:][:16]
	binary.LittleEndian.PutUint64(d, address)
	binary.LittleEndian.PutUint32(d[8:], length)
	binary.LittleEndian.PutUint16(d[12:], flags)
	binary.LittleEndian.PutUint16(d[14:], next)
}

// MakeAvailable adds a chain to the available ring.
func (x *Driver) MakeAvailable(n int, head uint16) {
	q := x.queues[n]
	i := virtio.Load16(q.avail, 2)
	binary.LittleEndian.PutUint16(q.avail[4+2*int(i%q.size):], head)
	// The device is to interrupt for the next buffer that it gives back.
	virtio.Store16(q.avail, 4+2*int(q.size), q.nextUse)
	virtio.Store16(q.avail, 2, i+1)
}

// Kick tells the device to look into a queue.
func (x *Driver) Kick(n int) { x.Set(virtio.RegQueueNotify, uint32(n)) }

// Next returns the next buffer of a queue that was given back, and waits for it.
func (x *Driver) Next(n int) Used {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.t.Context(), patience)
	defer cancel()
	q := x.queues[n]
	for {
		if virtio.Load16(q.used, 2) != q.nextUse {
			return x.take(q)
		}
		virtio.Store16(q.avail, 4+2*int(q.size), q.nextUse)
		if virtio.Load16(q.used, 2) != q.nextUse {
			continue
		}
		select {
		case <-x.raised:
			x.Set(interruptACK, x.Get(interruptStatus))
			if x.NeedsReset() {
				x.t.Fatal("the device needs a reset")
			}
		case <-ctx.Done():
			x.t.Fatal("no buffer came back")
		}
	}
}

// Poll returns a buffer that was given back already, if there is one.
func (x *Driver) Poll(n int) (Used, bool) {
	q := x.queues[n]
	if virtio.Load16(q.used, 2) == q.nextUse {
		return Used{}, false
	}
	return x.take(q), true
}

func (x *Driver) take(q *queue) Used {
	e := q.used[4+8*int(q.nextUse%q.size):][:8]
	q.nextUse++
	u := Used{Head: uint16(binary.LittleEndian.Uint32(e)), Written: binary.LittleEndian.Uint32(e[4:])}
	for at := u.Head; ; {
		d := q.desc[int(at)*16:][:16]
		flags := binary.LittleEndian.Uint16(d[12:])
		if flags&2 != 0 {
			u.Data = append(u.Data, x.Bytes(binary.LittleEndian.Uint64(d), uint64(binary.LittleEndian.Uint32(d[8:])))...)
		}
		if flags&1 == 0 {
			return u
		}
		at = binary.LittleEndian.Uint16(d[14:])
	}
}

// WaitForInterrupt waits until the device has raised one, and acknowledges it.
func (x *Driver) WaitForInterrupt() (why uint32) {
	x.t.Helper()
	x.Await()
	return x.Acknowledge()
}

// Await waits for an interrupt, without touching the device. Unlike all else, another
// goroutine may call it.
func (x *Driver) Await() {
	x.t.Helper()
	select {
	case <-x.raised:
	case <-time.After(patience):
		x.t.Fatal("no interrupt came")
	}
}

// Acknowledge tells the device that its interrupts were seen, and returns why it raised
// them.
func (x *Driver) Acknowledge() (why uint32) {
	why = x.Get(interruptStatus)
	x.Set(interruptACK, why)
	return why
}
