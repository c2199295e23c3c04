package virtio_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/memory"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

// Registers that a driver writes (4.2.2), and bits of the status (2.1).
const (
	regDriverFeatures   = 0x020
	regDriverFeatureSel = 0x024
	regQueueSel         = 0x030
	regQueueNumMax      = 0x034
	regQueueNum         = 0x038
	regQueueReady       = 0x044
	regInterruptStatus  = 0x060
	regInterruptACK     = 0x064
	regStatus           = 0x070
	regQueueDesc        = 0x080
	regQueueDriver      = 0x090
	regQueueDevice      = 0x0a0
	regConfig           = 0x100
)

const (
	hostileMemory = 16 << 20
	maxQueues     = 4 // of the devices here
	// hostileQueues is where queues are that are set up well, 64 KiB each.
	hostileQueues = 64 << 10
	// dataStart is where buffers are, dataSize for each descriptor.
	dataStart = 1 << 20
	dataSize  = 8 << 10
)

var discard = slog.New(slog.DiscardHandler)

// guest does to a device what a script of bytes says.
type guest struct {
	t      testing.TB
	script []byte
	memory *memory.Memory
	make   func(testing.TB, *memory.Memory) subject
	device subject
	virtio *virtio.Transport
	sizes  [maxQueues]uint32
	head   uint16 // the next descriptor
}

func (g *guest) byte() byte {
	if len(g.script) == 0 {
		return 0
	}
	b := g.script[0]
	g.script = g.script[1:]
	return b
}

// number returns numbers of all sizes, of which most are small, or close to where memory or
// a queue ends.
func (g *guest) number() uint64 {
	b := g.byte()
	n := uint64(g.byte()) | uint64(g.byte())<<8
	switch b % 8 {
	case 0:
		return n & 7
	case 1:
		return n
	case 2:
		return uint64(g.sizes[n%maxQueues]) + n>>8%4 - 2
	case 3:
		return n << 6
	case 4:
		return hostileMemory - n%64
	case 5:
		return ^n
	case 6:
		return n << 48
	}
	return 1 << (n % 64)
}

func (g *guest) set(offset uint32, value uint64) {
	g.virtio.Write(offset, binary.LittleEndian.AppendUint32(nil, uint32(value)))
}

func (g *guest) get(offset uint32) uint32 {
	var b [4]byte
	g.virtio.Read(offset, b[:])
	return binary.LittleEndian.Uint32(b[:])
}

func (g *guest) bytes(at, n uint64) []byte {
	b, err := g.memory.Slice(at%(hostileMemory-n), n)
	if err != nil {
		g.t.Fatal(err)
	}
	return b
}

// negotiate sets a device up, well but for what the script says (3.1.1).
func (g *guest) negotiate() {
	if g.byte()%8 != 0 {
		g.set(regStatus, 0)
	}
	g.set(regStatus, 1)
	g.set(regStatus, 3)
	features := g.device.Features() | virtio.FeatureIndirect | virtio.FeatureEventIndex | virtio.FeatureVersion1
	switch g.byte() % 8 {
	case 0:
		features = g.number()
	case 1, 2, 3:
		features &= g.number() | virtio.FeatureVersion1
	}
	for half := range uint64(2) {
		g.set(regDriverFeatureSel, half)
		g.set(regDriverFeatures, features>>(32*half))
	}
	g.set(regStatus, 11)
	for q := range uint64(len(g.device.QueueSizes())) {
		g.set(regQueueSel, q)
		size := uint64(g.get(regQueueNumMax))
		size = max(size>>(g.byte()%8), 1)
		base := hostileQueues * (q + 1)
		addresses := [3]uint64{base, base + 16*size, base + hostileQueues/2}
		switch choice := g.byte() % 32; choice {
		case 0:
			continue
		case 1:
			size = g.number()
		case 2, 3, 4:
			addresses[choice-2] = g.number()
		}
		g.set(regQueueNum, size)
		g.sizes[q] = uint32(size)
		for i, r := range []uint32{regQueueDesc, regQueueDriver, regQueueDevice} {
			g.set(r, addresses[i])
			g.set(r+4, addresses[i]>>32)
		}
		clear(g.bytes(base, hostileQueues))
		g.set(regQueueReady, 1)
	}
	g.set(regStatus, 15)
}

// move saves the device, and goes on with another.
func (g *guest) move() {
	g.virtio.Pause()
	s, err := g.virtio.Save()
	if err != nil {
		g.t.Fatal("save:", err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		g.t.Fatal("save:", err)
	}
	g.end()
	g.begin()
	var read virtio.TransportState
	if err := json.Unmarshal(text, &read); err != nil {
		g.t.Fatal("restore:", err)
	}
	if err := g.virtio.Restore(read); err != nil {
		g.t.Fatalf("restore: %v, of %s", err, text)
	}
	if got := g.get(regStatus); got != s.Status {
		g.t.Errorf("it has status %#x, and had %#x", got, s.Status)
	}
	g.virtio.Resume()
}

// step does one thing.
func (g *guest) step() {
	kind := g.byte()
	if kind >= 24 {
		g.offer()
		return
	}
	switch kind {
	case 0, 1, 2, 3, 4, 5, 6, 7, 8:
		if g.get(regStatus) != 15 || g.byte()%8 == 0 {
			g.negotiate()
		}
	case 9:
		g.set(virtio.RegQueueNotify, g.number())
	case 10:
		offset := uint32(g.byte()) &^ 3
		g.get(offset)
		g.set(offset, g.number())
	case 11: // any register, in any size
		p := make([]byte, g.byte()%17)
		g.virtio.Write(uint32(g.number()%virtio.WindowSize), p)
		g.virtio.Read(uint32(g.number()%virtio.WindowSize), p)
	case 12: // the configuration
		p := make([]byte, g.byte()%17)
		g.virtio.Read(regConfig+uint32(g.byte()), p)
		g.virtio.Write(regConfig+uint32(g.byte()), p)
	case 13:
		g.set(regStatus, g.number())
	case 14:
		g.set(regStatus, 0)
	case 15:
		g.set(regInterruptACK, uint64(g.get(regInterruptStatus)))
	case 16: // anything, where queues and buffers may be
		b := g.bytes(g.number(), 64)
		binary.LittleEndian.PutUint64(b[8*(g.byte()%8):], g.number())
	case 17:
		g.virtio.Pause()
		if g.byte()%2 == 0 {
			g.step()
		}
		g.virtio.Resume()
	case 18:
		if g.device.act != nil {
			g.device.act(g.byte())
			g.virtio.ConfigChanged()
		}
	case 19:
		if g.byte()%4 == 0 {
			g.move()
		}
	}
}

func (g *guest) begin() {
	g.device = g.make(g.t, g.memory)
	var err error
	if g.virtio, err = virtio.New(g.device.Device, g.memory, func() {}, discard); err != nil {
		g.t.Fatal(err)
	}
}

func (g *guest) end() {
	g.device.before()
	if err := g.virtio.Close(); err != nil {
		g.t.Error(err)
	}
	g.device.after()
}

func play(t testing.TB, kind int, script []byte) {
	m, err := memory.New(hostileMemory, false)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	g := &guest{t: t, script: script, memory: m, make: subjects[kind].make}
	g.begin()
	defer g.end()
	g.negotiate()
	for len(g.script) > 0 {
		g.step()
	}
}

// TestSequences has guests do one thing after another to all devices, at random: what is
// well set up, what is not, and all of that in the wrong moment. Nothing but a device may
// end by it.
func TestSequences(t *testing.T) {
	seeds, length := 20, 20_000
	if testing.Short() {
		seeds, length = 5, 5_000
	}
	for kind, s := range subjects {
		t.Run(s.name, func(t *testing.T) {
			for seed := range seeds {
				t.Run(fmt.Sprint(seed), func(t *testing.T) { play(t, kind, scriptOf(seed, length)) })
			}
		})
	}
}

func scriptOf(seed, n int) []byte {
	source := rand.New(rand.NewPCG(uint64(seed), 1))
	script := make([]byte, n)
	for i := range script {
		script[i] = byte(source.Uint32())
	}
	return script
}

func FuzzTransport(f *testing.F) {
	for kind := range subjects {
		f.Add(byte(kind), scriptOf(kind, 2_000))
	}
	f.Fuzz(func(t *testing.T, kind byte, script []byte) {
		play(t, int(kind)%len(subjects), script[:min(len(script), 20_000)])
	})
}
