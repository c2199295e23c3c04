package virtio

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/event"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/memory"
)

// Registers (4.2.2).
const (
	regMagic            = 0x000
	regVersion          = 0x004
	regDeviceID         = 0x008
	regVendorID         = 0x00c
	regDeviceFeatures   = 0x010
	regDeviceFeatureSel = 0x014
	regDriverFeatures   = 0x020
	regDriverFeatureSel = 0x024
	regQueueSel         = 0x030
	regQueueNumMax      = 0x034
	regQueueNum         = 0x038
	regQueueReady       = 0x044
	RegQueueNotify      = 0x050
	regInterruptStatus  = 0x060
	regInterruptACK     = 0x064
	regStatus           = 0x070
	regQueueDescLow     = 0x080
	regQueueDescHigh    = 0x084
	regQueueDriverLow   = 0x090
	regQueueDriverHigh  = 0x094
	regQueueDeviceLow   = 0x0a0
	regQueueDeviceHigh  = 0x0a4
	regSharedLenLow     = 0x0b0
	regSharedLenHigh    = 0x0b4
	regSharedBaseLow    = 0x0b8
	regSharedBaseHigh   = 0x0bc
	regConfigGeneration = 0x0fc
	regConfig           = 0x100
	// WindowSize is how much of the guest's address space a device's registers take.
	WindowSize = 0x1000
)

const (
	magic   = 0x74726976 // "virt"
	version = 2
	vendor  = 0x4c584f42 // "BOXL"
)

// Bits of the status register (2.1).
const (
	statusAcknowledge = 1
	statusDriver      = 2
	statusDriverOK    = 4
	statusFeaturesOK  = 8
	statusNeedsReset  = 64
	statusFailed      = 128
)

// Bits of the interrupt status register (4.2.2).
const (
	interruptQueue  = 1
	interruptConfig = 2
)

// Transport is the registers of one device. Its methods may be called concurrently.
type Transport struct {
	device Device
	memory *memory.Memory
	// raise interrupts the guest. It may be called by any goroutine.
	raise func()
	log   *slog.Logger
	kicks []*event.Event

	mu        sync.Mutex
	state     TransportState // but for what follows
	queues    []*Queue       // nil unless the driver is ready
	isRunning bool           // between the device's Start and Stop
	isPaused  bool

	interrupts atomic.Uint32
	isBroken   atomic.Bool // the device needs a reset
}

// New makes the registers of a device. raise interrupts the guest. The caller closes it.
func New(d Device, m *memory.Memory, raise func(), log *slog.Logger) (*Transport, error) {
	t := &Transport{device: d, memory: m, raise: raise, log: log}
	for range d.QueueSizes() {
		kick, err := event.New()
		if err != nil {
			return nil, errors.Join(err, t.Close())
		}
		t.kicks = append(t.kicks, kick)
	}
	t.reset()
	return t, nil
}

// Kicks are raised when the driver writes the number of a queue to RegQueueNotify: by the
// kernel, if it was told so, and else by Write.
func (t *Transport) Kicks() []*event.Event { return t.kicks }

// reset makes all registers what they are at first.
func (t *Transport) reset() {
	t.state = TransportState{DeviceID: t.device.ID(), Queues: make([]QueueState, len(t.kicks)), Generation: t.state.Generation}
	t.queues = nil
	t.interrupts.Store(0)
	t.isBroken.Store(false)
}

// Read is a load by the guest from an offset into the window.
func (t *Transport) Read(offset uint32, p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(p)
	switch {
	case offset >= regConfig:
		t.device.ReadConfig(offset-regConfig, p)
	case len(p) == 4 && offset%4 == 0:
		binary.LittleEndian.PutUint32(p, t.register(offset))
	}
}

func (t *Transport) register(offset uint32) uint32 {
	switch offset {
	case regMagic:
		return magic
	case regVersion:
		return version
	case regDeviceID:
		return t.device.ID()
	case regVendorID:
		return vendor
	case regDeviceFeatures:
		return half(t.offered(), t.state.DeviceFeatureSel)
	case regQueueNumMax:
		if sizes := t.device.QueueSizes(); t.state.QueueSel < uint32(len(sizes)) {
			return uint32(sizes[t.state.QueueSel])
		}
	case regQueueReady:
		if q := t.queue(); q != nil && q.Ready {
			return 1
		}
	case regInterruptStatus:
		return t.interrupts.Load()
	case regStatus:
		if t.isBroken.Load() {
			return t.state.Status | statusNeedsReset
		}
		return t.state.Status
	case regSharedLenLow, regSharedLenHigh, regSharedBaseLow, regSharedBaseHigh:
		return 0xffffffff // there is no shared memory (4.2.2.1)
	case regConfigGeneration:
		return t.state.Generation
	}
	return 0
}

func (t *Transport) offered() uint64 { return t.device.Features() | transportFeatures }

// half returns one of the two halves of a register with 64 bits.
func half(value uint64, which uint32) uint32 {
	switch which {
	case 0:
		return uint32(value)
	case 1:
		return uint32(value >> 32)
	}
	return 0
}

// setHalf replaces one of the two halves.
func setHalf(value *uint64, which, half uint32) {
	switch which {
	case 0:
		*value = *value&^0xffffffff | uint64(half)
	case 1:
		*value = *value&0xffffffff | uint64(half)<<32
	}
}

// queue returns the selected queue, or nil.
func (t *Transport) queue() *QueueState {
	if t.state.QueueSel < uint32(len(t.state.Queues)) {
		return &t.state.Queues[t.state.QueueSel]
	}
	return nil
}

// Write is a store by the guest to an offset into the window.
func (t *Transport) Write(offset uint32, p []byte) {
	if len(p) == 4 && offset == RegQueueNotify {
		if n := binary.LittleEndian.Uint32(p); n < uint32(len(t.kicks)) {
			t.kicks[n].Raise()
		}
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case offset >= regConfig:
		t.device.WriteConfig(offset-regConfig, p)
	case len(p) == 4 && offset%4 == 0:
		t.setRegister(offset, binary.LittleEndian.Uint32(p))
	}
}

func (t *Transport) setRegister(offset, value uint32) {
	switch offset {
	case regDeviceFeatureSel:
		t.state.DeviceFeatureSel = value
	case regDriverFeatureSel:
		t.state.DriverFeatureSel = value
	case regDriverFeatures:
		if t.state.Status&statusFeaturesOK == 0 {
			setHalf(&t.state.Features, t.state.DriverFeatureSel, value)
		}
	case regQueueSel:
		t.state.QueueSel = value
	case regInterruptACK:
		t.interrupts.And(^value)
	case regStatus:
		t.setStatus(value)
	default:
		t.setQueueRegister(offset, value)
	}
}

// setQueueRegister sets up the selected queue, which is possible until it is ready.
func (t *Transport) setQueueRegister(offset, value uint32) {
	q := t.queue()
	if q == nil || t.state.Status&statusDriverOK != 0 {
		return
	}
	if offset == regQueueReady {
		q.Ready = value&1 != 0
		return
	}
	if q.Ready {
		return
	}
	switch offset {
	case regQueueNum:
		if value <= uint32(t.device.QueueSizes()[t.state.QueueSel]) {
			q.Size = uint16(value)
		}
	case regQueueDescLow, regQueueDescHigh:
		setHalf(&q.Desc, (offset-regQueueDescLow)/4, value)
	case regQueueDriverLow, regQueueDriverHigh:
		setHalf(&q.Avail, (offset-regQueueDriverLow)/4, value)
	case regQueueDeviceLow, regQueueDeviceHigh:
		setHalf(&q.Used, (offset-regQueueDeviceLow)/4, value)
	}
}

// setStatus moves the device on (3.1), or resets it.
func (t *Transport) setStatus(value uint32) {
	old := t.state.Status
	switch {
	case value == 0:
		t.stop()
		t.device.Reset()
		t.reset()
		return
	case value&old != old:
		return // bits are only ever added (2.1.1)
	}
	if value&statusFeaturesOK != 0 && old&statusFeaturesOK == 0 {
		// A driver that does not know this version, or wants what was not offered, finds
		// the bit not set.
		if t.state.Features&FeatureVersion1 == 0 || t.state.Features&^t.offered() != 0 {
			value &^= statusFeaturesOK
		}
	}
	if value&statusDriverOK != 0 && old&statusDriverOK == 0 {
		if value&statusFeaturesOK == 0 {
			return
		}
		t.state.Status = value
		t.start()
		return
	}
	t.state.Status = value
}

// start has the device begin to work with the queues that the driver has set up.
func (t *Transport) start() {
	queues := make([]*Queue, len(t.kicks))
	for i, s := range t.state.Queues {
		if !s.Ready {
			continue
		}
		q, err := newQueue(t.memory, s, t.state.Features)
		if err != nil {
			t.fail(err)
			return
		}
		q.kick, q.fail = t.kicks[i], t.fail
		q.interrupt = func() { t.notify(interruptQueue) }
		queues[i] = q
	}
	t.queues = queues
	t.run()
}

// run has the device begin or go on to work, unless it is paused.
func (t *Transport) run() {
	if t.queues == nil || t.isPaused || t.isRunning || t.isBroken.Load() {
		return
	}
	for i, q := range t.queues {
		if q != nil {
			q.stopping.Store(false)
			t.kicks[i].Resume()
		}
	}
	if err := t.device.Start(t.state.Features, t.queues); err != nil {
		t.fail(err)
		return
	}
	t.isRunning = true
}

// stop has the device stop working.
func (t *Transport) stop() {
	if !t.isRunning {
		return
	}
	for i, q := range t.queues {
		if q != nil {
			q.stopping.Store(true)
			t.kicks[i].Interrupt()
		}
	}
	t.device.Stop()
	t.isRunning = false
	for i, q := range t.queues {
		if q != nil {
			t.state.Queues[i].NextAvail, t.state.Queues[i].NextUsed = q.nextAvail, q.nextUsed
		}
	}
}

// fail tells the driver that the device needs a reset.
func (t *Transport) fail(err error) {
	if t.isBroken.Swap(true) {
		return
	}
	t.log.Warn("a device of the guest needs a reset", "device", t.device.ID(), "err", err)
	t.notify(interruptConfig)
}

// notify interrupts the guest, for a reason.
func (t *Transport) notify(why uint32) {
	t.interrupts.Or(why)
	t.raise()
}

// ConfigChanged tells the driver that the device's configuration is another.
func (t *Transport) ConfigChanged() {
	t.mu.Lock()
	t.state.Generation++
	isReady := t.state.Status&statusDriverOK != 0
	t.mu.Unlock()
	if isReady {
		t.notify(interruptConfig)
	}
}

// Close stops the device for good.
func (t *Transport) Close() error {
	t.Pause()
	var failed []error
	for _, kick := range t.kicks {
		failed = append(failed, kick.Close())
	}
	return errors.Join(failed...)
}
