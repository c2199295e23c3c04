package kvmprobe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What guest.S expects.
const (
	guestStart  = 0x1000
	guestMemory = 64 << 10
	portStep    = 0x10
	lastStep    = 0xff
)

// steps tell what the guest had done when it reported a step.
var steps = map[byte]string{
	0: "nothing", 1: "its first instruction", 2: "paging and long mode", 3: "CPUID", 4: "the FPU",
	5: "model-specific registers", 6: "an exception", 7: "a page fault", 8: "memory-mapped I/O",
	9: "an interrupt", 10: "user mode",
}

// run makes a virtual machine and runs the guest, until it ends or ctx does.
func run(ctx context.Context, kvm int) error {
	if v, err := ioctl(kvm, kvmGetAPIVersion, 0); err != nil {
		return fail(ErrVersion, err)
	} else if v != apiVersion {
		return fail(ErrVersion, fmt.Errorf("its API has version %d, not %d", v, apiVersion))
	}
	vm, err := ioctl(kvm, kvmCreateVM, 0)
	if err != nil {
		return fail(ErrCreate, err)
	}
	defer unix.Close(vm)
	memory, err := unix.Mmap(-1, 0, guestMemory, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return fail(ErrCreate, err)
	}
	defer unix.Munmap(memory)
	copy(memory[guestStart:], guestCode)
	if err := prepareVM(vm, memory); err != nil {
		return fail(ErrCreate, err)
	}
	size, err := ioctl(kvm, kvmGetVCPUMmapSize, 0)
	if err != nil || size < int(unsafe.Sizeof(runState{})) {
		return fail(ErrVersion, err)
	}
	cpu, err := ioctl(vm, kvmCreateVCPU, 0)
	if err != nil {
		return fail(ErrCreate, err)
	}
	defer unix.Close(cpu)
	shared, err := unix.Mmap(cpu, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fail(ErrCreate, err)
	}
	defer unix.Munmap(shared)
	if err := prepareCPU(kvm, cpu); err != nil {
		return fail(ErrCreate, err)
	}
	return (&vcpu{fd: cpu, shared: shared, state: (*runState)(unsafe.Pointer(&shared[0]))}).run(ctx)
}

// prepareVM gives the machine its memory and an interrupt controller in the
// kernel, for whose local APIC the guest asks.
func prepareVM(vm int, memory []byte) error {
	region := memoryRegion{size: guestMemory, hostAddress: uint64(uintptr(unsafe.Pointer(&memory[0])))}
	if err := ioctlStruct(vm, kvmSetUserMemoryRegion, &region); err != nil {
		return err
	}
	// Some Intel processors need three pages below 4 GiB for themselves.
	if _, err := ioctl(vm, kvmSetTSSAddr, 0xfffbd000); err != nil {
		return err
	}
	return ioctlStruct(vm, kvmEnableCap, &enableCap{capability: capSplitIRQChip, args: [4]uint64{24}})
}

// prepareCPU puts the processor into the state in which a PVH kernel starts.
func prepareCPU(kvm, cpu int) error {
	features := cpuid{entries: maxCPUIDEntries}
	if err := ioctlStruct(kvm, kvmGetSupportedCPUID, &features); err != nil {
		return err
	}
	if err := ioctlStruct(cpu, kvmSetCPUID2, &features); err != nil {
		return err
	}
	var s sregs
	if err := ioctlStruct(cpu, kvmGetSregs, &s); err != nil {
		return err
	}
	const protectedMode, code, data = 1, 11, 3
	s.cr0 |= protectedMode
	flat := segment{limit: 0xffffffff, selector: 0x10, kind: data, present: 1, db: 1, s: 1, g: 1}
	s.ds, s.es, s.fs, s.gs, s.ss = flat, flat, flat, flat, flat
	s.cs = flat
	s.cs.selector, s.cs.kind = 0x08, code
	if err := ioctlStruct(cpu, kvmSetSregs, &s); err != nil {
		return err
	}
	return ioctlStruct(cpu, kvmSetRegs, &regs{rip: guestStart, rflags: 2})
}

// vcpu is the guest's processor.
type vcpu struct {
	fd     int
	shared []byte // struct kvm_run, and the pages behind it
	state  *runState
	step   byte
	stored [8]byte // what the guest wrote where there is no memory
}

// run lets the guest run to its last step.
func (c *vcpu) run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer c.stopWith(ctx, unix.Gettid())()
	for {
		_, err := ioctl(c.fd, kvmRun, 0)
		switch {
		case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
			return fail(ErrTooSlow, c.after(errors.New("it did nothing more")))
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue // a signal, not for us
		case err != nil:
			return fail(ErrGuest, c.after(err))
		}
		if err := c.handleExit(); err != nil {
			return fail(ErrGuest, c.after(err))
		}
		if c.step == lastStep {
			return nil
		}
	}
}

// stopWith makes the guest stop when ctx ends. The function returned undoes it.
func (c *vcpu) stopWith(ctx context.Context, thread int) (undo func()) {
	var over atomic.Bool
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		// The next KVM_RUN returns at once, and the present one when a signal
		// comes. Go's runtime uses SIGURG for its own ends, and does not mind
		// one more.
		c.state.immediateExit = 1
		for !over.Load() {
			_ = unix.Tgkill(unix.Getpid(), thread, unix.SIGURG)
			time.Sleep(time.Millisecond)
		}
	})
	return func() {
		over.Store(true)
		if !stop() {
			<-done
		}
	}
}

// handleExit does for the guest what a device would, or says why it can't go on.
func (c *vcpu) handleExit() error {
	detail := unsafe.Pointer(&c.state.detail)
	switch c.state.exitReason {
	case exitIO:
		io := (*ioDetail)(detail)
		if io.port != portStep || io.direction != 1 || io.size != 1 || io.dataOffset >= uint64(len(c.shared)) {
			return fmt.Errorf("unexpected access to port %#x", io.port)
		}
		c.step = c.shared[io.dataOffset]
		return nil
	case exitMMIO:
		mmio := (*mmioDetail)(detail)
		if mmio.isWrite != 0 {
			c.stored = mmio.data
			return nil
		}
		for i, b := range c.stored {
			mmio.data[i] = ^b
		}
		return nil
	case exitHlt:
		return errors.New("it halted")
	case exitShutdown:
		return errors.New("a triple fault")
	case exitFailEntry:
		return fmt.Errorf("the processor refused to enter it, reason %#x", binary.LittleEndian.Uint64(c.state.detail[:]))
	case exitInternalError:
		return fmt.Errorf("an internal error of KVM, number %d", binary.LittleEndian.Uint32(c.state.detail[:]))
	}
	return fmt.Errorf("exit reason %d", c.state.exitReason)
}

// after says how far the guest had come.
func (c *vcpu) after(err error) error {
	done, ok := steps[c.step]
	if !ok {
		done = fmt.Sprintf("step %d", c.step)
	}
	return fmt.Errorf("after %s: %w", done, err)
}
