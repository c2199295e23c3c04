//go:build amd64

package vm

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/api"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/event"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/memory"
)

// Bus is where the guest's loads and stores go that are not for memory.
type Bus interface {
	Read(address uint64, p []byte)
	Write(address uint64, p []byte)
}

// Config describes a machine.
type Config struct {
	Memory *memory.Memory
	// CPUs is how many processors there are.
	CPUs int
	Bus  Bus
	// Early gets what the guest prints before it has a driver for its console.
	Early func(byte)
}

// End is how a machine has ended.
type End struct {
	// Reset is that the guest has asked for it.
	Reset bool
	// TripleFault is that a processor could not go on.
	TripleFault bool
	// Err is why the machine could not go on, else.
	Err error
	// Registers are those of the processor that has ended it, unless it was a reset.
	Registers string
}

// VM is a machine. Its methods may be called concurrently, but for Close.
type VM struct {
	fd     int
	config Config
	cpus   []*cpu
	msrs   []uint32 // that are part of the state

	mu     sync.Mutex
	change sync.Cond // of what follows
	paused bool
	ended  *End
	parked int // processors that wait
	left   int // those that have ended

	running sync.WaitGroup
}

// New makes a machine whose processors don't run yet. Memory comes before interrupt
// controllers: the other way round, the kernel has to wait for all processors of the
// host to notice. The caller closes it.
func New(kvm *os.File, c Config) (_ *VM, err error) {
	v := &VM{fd: -1, config: c}
	v.change.L = &v.mu
	defer func() {
		if err != nil {
			v.release()
		}
	}()
	device := int(kvm.Fd())
	if n, err := api.Do(device, api.GetAPIVersion, 0); err != nil {
		return nil, err
	} else if n != api.Version {
		return nil, fmt.Errorf("KVM's interface has version %d, not %d", n, api.Version)
	}
	if n, err := api.Do(device, api.CheckExtension, api.CapImmediateExit); err != nil || n == 0 {
		return nil, errors.Join(errors.New("KVM can't be told to leave a guest at once: the kernel is older than 4.12"), err)
	}
	if v.fd, err = api.Do(device, api.CreateVM, 0); err != nil {
		return nil, err
	}
	for i, r := range c.Memory.Regions() {
		if err := v.addMemory(uint32(i), r); err != nil {
			return nil, err
		}
	}
	if err := v.prepare(); err != nil {
		return nil, err
	}
	size, err := api.Do(device, api.GetVCPUMmapSize, 0)
	if err != nil {
		return nil, err
	}
	features, err := supportedFeatures(device)
	if err != nil {
		return nil, err
	}
	if v.msrs, err = msrIndices(device); err != nil {
		return nil, err
	}
	for i := range c.CPUs {
		p, err := newCPU(v, i, size)
		if err != nil {
			return nil, err
		}
		v.cpus = append(v.cpus, p)
		if err := p.prepare(features, c.CPUs); err != nil {
			return nil, fmt.Errorf("processor %d: %w", i, err)
		}
	}
	return v, nil
}

func (v *VM) addMemory(slot uint32, r memory.Region) error {
	return api.With(v.fd, api.SetUserMemoryRegion, &api.MemoryRegion{
		Slot: slot, GuestAddress: r.Start, Size: uint64(len(r.Bytes)), HostAddress: uint64(uintptr(unsafe.Pointer(&r.Bytes[0]))),
	})
}

// Connect has an event raise an interrupt of the guest.
func (v *VM) Connect(e *event.Event, interrupt uint32) error {
	return api.With(v.fd, api.IRQFD, &api.IRQFDArgs{FD: uint32(e.FD()), GSI: interrupt})
}

// Watch has the kernel raise an event when the guest stores a number of four bytes at an
// address, without leaving it.
func (v *VM) Watch(e *event.Event, address uint64, number uint32) error {
	return api.With(v.fd, api.IOEventFD, &api.IOEventFDArgs{
		DataMatch: uint64(number), Address: address, Length: 4, FD: int32(e.FD()), Flags: api.IOEventFDDataMatch,
	})
}

// Run lets the processors run.
func (v *VM) Run() {
	for _, p := range v.cpus {
		v.running.Go(p.run)
	}
}

// Pause returns when no processor runs, until Resume is called. A machine that has ended
// stays so.
func (v *VM) Pause() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.paused = true
	v.interrupt()
	for v.parked+v.left < len(v.cpus) {
		v.change.Wait()
	}
}

// Resume lets the processors go on. Guests that know how are told that they stood still,
// so that they don't take it for a processor that hangs.
func (v *VM) Resume() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.paused {
		return // to ask the kernel about a processor that runs takes until it leaves the guest
	}
	for _, p := range v.cpus {
		_, _ = api.Do(p.fd, api.ClockControl, 0) // fails for those that don't
	}
	v.paused = false
	v.change.Broadcast()
}

// interrupt has all processors leave the guest. The caller holds mu.
func (v *VM) interrupt() {
	for _, p := range v.cpus {
		p.interrupt()
	}
}

// end ends the machine, if nothing has yet.
func (v *VM) end(e End) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended == nil {
		v.ended = &e
	}
	v.interrupt()
	v.change.Broadcast()
}

// Stop ends a machine from outside.
func (v *VM) Stop(err error) { v.end(End{Err: err}) }

// Wait returns how the machine has ended, when it has, and no processor runs any more.
func (v *VM) Wait() End {
	v.running.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended == nil {
		return End{Err: errors.New("it was never run")}
	}
	return *v.ended
}

// Close gives back what the machine is made of. It has ended, or was never run.
func (v *VM) Close() error {
	v.release()
	return nil
}

func (v *VM) release() {
	for _, p := range v.cpus {
		p.release()
	}
	if v.fd >= 0 {
		_ = unix.Close(v.fd)
	}
}
