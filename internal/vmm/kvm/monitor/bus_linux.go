//go:build amd64

package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/boot"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/event"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/memory"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/vm"
)

// bus has the registers of all devices in the guest's address space, one after another.
type bus struct {
	memory  *memory.Memory
	log     *slog.Logger
	devices []*slot
}

// slot is where one device is.
type slot struct {
	*virtio.Transport
	interrupt *event.Event
}

func newBus(m *memory.Memory, log *slog.Logger) *bus { return &bus{memory: m, log: log} }

// add puts a device behind those that there are.
func (b *bus) add(d virtio.Device) error {
	if len(b.devices) >= boot.MaxDevices {
		return errors.New("there are too many devices")
	}
	interrupt, err := event.New()
	if err != nil {
		return err
	}
	t, err := virtio.New(d, b.memory, interrupt.Raise, b.log)
	if err != nil {
		return errors.Join(err, interrupt.Close())
	}
	b.devices = append(b.devices, &slot{t, interrupt})
	return nil
}

// connect has the kernel pass on interrupts, and what drivers say of queues.
func (b *bus) connect(v *vm.VM) error {
	for i, d := range b.devices {
		if err := v.Connect(d.interrupt, boot.Interrupt(i)); err != nil {
			return err
		}
		notify := uint64(boot.DeviceStart + i*boot.DeviceSize + virtio.RegQueueNotify)
		for q, kick := range d.Kicks() {
			if err := v.Watch(kick, notify, uint32(q)); err != nil {
				return err
			}
		}
	}
	return nil
}

// at returns the device whose registers are at an address, or nil.
func (b *bus) at(address uint64) (*slot, uint32) {
	offset := address - boot.DeviceStart
	if i := offset / boot.DeviceSize; i < uint64(len(b.devices)) {
		return b.devices[i], uint32(offset % boot.DeviceSize)
	}
	return nil, 0
}

// Read is a load by the guest. Where nothing is, all bits are set.
func (b *bus) Read(address uint64, p []byte) {
	if d, offset := b.at(address); d != nil {
		d.Read(offset, p)
		return
	}
	for i := range p {
		p[i] = 0xff
	}
}

// Write is a store by the guest.
func (b *bus) Write(address uint64, p []byte) {
	if d, offset := b.at(address); d != nil {
		d.Write(offset, p)
	}
}

func (b *bus) pause() {
	for _, d := range b.devices {
		d.Pause()
	}
}

func (b *bus) resume() {
	for _, d := range b.devices {
		d.Resume()
	}
}

// save returns the states of the devices, which are paused.
func (b *bus) save() ([]virtio.TransportState, error) {
	var states []virtio.TransportState
	for i, d := range b.devices {
		s, err := d.Save()
		if err != nil {
			return nil, fmt.Errorf("device %d: %w", i, err)
		}
		states = append(states, s)
	}
	return states, nil
}

// restore makes the devices what others were. They are paused then.
func (b *bus) restore(states []virtio.TransportState) error {
	if len(states) != len(b.devices) {
		return fmt.Errorf("the state is of %d devices, not %d", len(states), len(b.devices))
	}
	for i, d := range b.devices {
		if err := d.Restore(states[i]); err != nil {
			return fmt.Errorf("device %d: %w", i, err)
		}
	}
	return nil
}

func (b *bus) close() {
	for _, d := range b.devices {
		_ = d.Close()
		_ = d.interrupt.Close()
	}
}

// early passes on what the guest says before it has a driver for its console, by lines.
type early struct {
	to io.Writer

	mu   sync.Mutex
	line []byte
}

const maxEarly = 1024

func (e *early) add(b byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.line = append(e.line, b)
	if b == '\n' || len(e.line) >= maxEarly {
		e.write()
	}
}

func (e *early) flush() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(bytes.TrimSpace(e.line)) > 0 {
		e.write()
	}
}

// write writes the line. A console that is gone is nobody's any more.
func (e *early) write() {
	_, _ = e.to.Write(e.line)
	e.line = e.line[:0]
}
