// Package balloon takes memory back that the guest does not use (5.5), in two ways.
//
// Free page reporting: the guest tells of its free memory now and then, by itself, and
// uses it again without asking.
//
// The balloon: the host sets a target ([Device.SetTarget]), and the guest takes as many
// pages away from itself, or less if it can't do without them.
//
// In both cases the host's pages are given up, and the guest finds new ones, all zero,
// when it touches them again. So nothing is to be done to deflate the balloon.
//
// # Which queue is which
//
// The specification numbers the queues 0 to 4 (5.5.2), but Linux numbers those that exist:
// its find_vqs passes over queues of features that were not agreed on without counting
// them (vm_find_vqs in drivers/virtio/virtio_mmio.c). As neither statistics nor hinting
// are offered here, the queue for reporting is the third.
package balloon

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/memory"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

// Features (5.5.3). Not offered are MUST_TELL_HOST, as pages may be used at any time;
// STATS_VQ; FREE_PAGE_HINT; and PAGE_POISON, without which Linux does not report pages if
// it fills free ones with anything but zero.
const (
	FeatureDeflateOnOOM uint64 = 1 << 2 // VIRTIO_BALLOON_F_DEFLATE_ON_OOM
	FeatureReporting    uint64 = 1 << 5 // VIRTIO_BALLOON_F_PAGE_REPORTING
)

// Queues, as Linux numbers them.
const (
	inflate = iota
	deflate
	reporting
	queues
)

// queueSize is more than the 32 without which Linux does not report.
const queueSize = 128

// page is what the balloon counts in (5.5.6).
const page = 4096

// Where the fields of the configuration are (5.5.4).
const (
	configTarget = 0
	configActual = 4
	configSize   = 8
)

// Device is a balloon. It implements [virtio.Device].
type Device struct {
	memory *memory.Memory
	log    *slog.Logger
	wg     sync.WaitGroup

	mu     sync.Mutex
	config [configSize]byte

	warned sync.Once
}

// state is what Save returns.
type state struct {
	// Target and Actual are in pages of 4 KiB: how many the host wants, and how many the
	// guest has said that it has given.
	Target uint32 `json:"target"`
	Actual uint32 `json:"actual"`
}

// New returns a balloon that gives back parts of m.
func New(m *memory.Memory, log *slog.Logger) *Device {
	return &Device{memory: m, log: log}
}

// SetTarget sets how much memory the guest is to give, as far as it has that much. The
// guest looks at it when it is told with [virtio.Transport.ConfigChanged].
func (d *Device) SetTarget(bytes uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.set(configTarget, d.pages(bytes/page))
}

// Actual is how much memory the guest says it has given. It may lie.
func (d *Device) Actual() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return page * uint64(d.pages(uint64(d.get(configActual))))
}

// pages returns n, or how many pages there are if that is less.
func (d *Device) pages(n uint64) uint32 {
	return uint32(min(n, d.memory.Size()/page, 1<<32-1))
}

func (d *Device) get(field int) uint32    { return binary.LittleEndian.Uint32(d.config[field:]) }
func (d *Device) set(field int, n uint32) { binary.LittleEndian.PutUint32(d.config[field:], n) }

// ID implements [virtio.Device].
func (*Device) ID() uint32 { return virtio.IDBalloon }

// Features implements [virtio.Device].
func (*Device) Features() uint64 { return FeatureDeflateOnOOM | FeatureReporting }

// QueueSizes implements [virtio.Device].
func (*Device) QueueSizes() []uint16 { return []uint16{queueSize, queueSize, queueSize} }

// ReadConfig implements [virtio.Device].
func (d *Device) ReadConfig(offset uint32, p []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	virtio.Config(d.config[:], offset, p)
}

// WriteConfig implements [virtio.Device]. Only how much was given is the guest's.
func (d *Device) WriteConfig(offset uint32, p []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if offset >= configActual && offset < configSize {
		copy(d.config[offset:], p)
	}
}

// Start implements [virtio.Device].
func (d *Device) Start(features uint64, all []*virtio.Queue) error {
	works := [queues]func() handler{
		inflate: func() handler { return newPages(d.discard).handle },
		deflate: func() handler { return func(*virtio.Chain) {} },
	}
	if features&FeatureReporting != 0 {
		works[reporting] = func() handler { return d.report }
	}
	for i, work := range works {
		if q := all[i]; q != nil && work != nil {
			handle := work()
			d.wg.Go(func() {
				var c virtio.Chain
				q.Run(func() error { return serve(q, &c, handle) })
			})
		}
	}
	return nil
}

// Stop implements [virtio.Device].
func (d *Device) Stop() { d.wg.Wait() }

// Reset implements [virtio.Device]. A driver begins with an empty balloon. The target is
// the host's.
func (d *Device) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.set(configActual, 0)
}

// Save implements [virtio.Device].
func (d *Device) Save() ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return json.Marshal(state{Target: d.get(configTarget), Actual: d.get(configActual)})
}

// Restore implements [virtio.Device].
func (d *Device) Restore(saved []byte) error {
	var s state
	if err := json.Unmarshal(saved, &s); err != nil {
		return fmt.Errorf("restore the balloon: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.set(configTarget, d.pages(uint64(s.Target)))
	d.set(configActual, s.Actual)
	return nil
}

// handler does what a buffer asks for.
type handler func(*virtio.Chain)

// serve handles available buffers, one queue full at most.
func serve(q *virtio.Queue, c *virtio.Chain, handle handler) error {
	defer q.Signal()
	for range q.Size() {
		ok, err := q.Pop(c)
		if err != nil || !ok {
			return err
		}
		handle(c)
		q.Push(c.Head, 0)
	}
	return nil
}

// report gives back the memory that a buffer of the reporting queue consists of (5.5.6.7).
// The guest does not use it until it has the buffer again.
func (d *Device) report(c *virtio.Chain) {
	for _, piece := range c.Writable {
		if start, err := d.memory.Address(piece); err == nil {
			d.discard(start, start+uint64(len(piece)))
		}
	}
}

// discard gives back the whole pages between two addresses, as far as they are in memory.
func (d *Device) discard(start, end uint64) {
	for _, r := range d.memory.Regions() {
		from := (max(start, r.Start) + memory.Page - 1) / memory.Page * memory.Page
		to := min(end, r.Start+uint64(len(r.Bytes))) / memory.Page * memory.Page
		if from >= to {
			continue
		}
		if err := d.memory.Discard(from, to-from); err != nil {
			d.warned.Do(func() { d.log.Warn("memory that the guest gives can't be given back", "err", err) })
		}
	}
}
