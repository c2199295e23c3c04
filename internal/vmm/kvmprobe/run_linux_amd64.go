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

// machine is a virtual machine with one processor.
type machine struct {
	vm     int
	memory []byte
	cpu    vcpu
}

// newMachine makes a machine with code in its memory, ready to run.
func newMachine(kvm int, code []byte) (_ *machine, err error) {
	if v, err := ioctl(kvm, kvmGetAPIVersion, 0); err != nil {
		return nil, fail(ErrVersion, err)
	} else if v != apiVersion {
		return nil, fail(ErrVersion, fmt.Errorf("its API has version %d, not %d", v, apiVersion))
	}
	m := &machine{vm: -1, cpu: vcpu{fd: -1}}
	defer func() {
		if err != nil {
			m.close()
			err = fail(ErrCreate, err)
		}
	}()
	if m.vm, err = ioctl(kvm, kvmCreateVM, 0); err != nil {
		return nil, err
	}
	m.memory, err = unix.Mmap(-1, 0, guestMemory, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	copy(m.memory[guestStart:], code)
	if err := prepareVM(m.vm, m.memory); err != nil {
		return nil, err
	}
	size, err := ioctl(kvm, kvmGetVCPUMmapSize, 0)
	if err != nil {
		return nil, err
	}
	if m.cpu.fd, err = ioctl(m.vm, kvmCreateVCPU, 0); err != nil {
		return nil, err
	}
	m.cpu.shared, err = unix.Mmap(m.cpu.fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	m.cpu.state = (*runState)(unsafe.Pointer(&m.cpu.shared[0])) // a page at least
	if err := prepareCPU(kvm, m.cpu.fd); err != nil {
		return nil, err
	}
	return m, nil
}

// close gives back what newMachine got so far.
func (m *machine) close() {
	for _, mapped := range [][]byte{m.cpu.shared, m.memory} {
		if mapped != nil {
			_ = unix.Munmap(mapped)
		}
	}
	for _, fd := range []int{m.cpu.fd, m.vm} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
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

var errStalled = errors.New("it did nothing more")

// vcpu is the guest's processor.
type vcpu struct {
	fd     int
	shared []byte // struct kvm_run, and the pages behind it
	state  *runState
	step   byte
	stored [8]byte // what the guest wrote where there is no memory
}

// run lets the guest run to its last step, for as long as ctx allows, and as long as no step
// uses more of the processor than limit.
func (c *vcpu) run(ctx context.Context, limit time.Duration) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	progress := newWatchdog(unix.Gettid(), limit, func() { cancel(errStalled) })
	defer progress.stop()
	defer c.stopWith(ctx, unix.Gettid())()
	for {
		_, err := ioctl(c.fd, kvmRun, 0)
		switch {
		case ctx.Err() != nil:
			return fail(ErrTooSlow, c.after(context.Cause(ctx)))
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue // a signal, not for us
		case err != nil:
			return fail(ErrGuest, c.after(err))
		}
		before := c.step
		if err := c.handleExit(); err != nil {
			return fail(ErrGuest, c.after(err))
		}
		if c.step == lastStep {
			return nil
		}
		if c.step > before {
			progress.note()
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
func (c *vcpu) after(err error) error { return &stopped{c.step, err} }

// stopped is why a guest did not get to its last step, and to which it did.
type stopped struct {
	step  byte
	cause error
}

func (s *stopped) Error() string {
	done, ok := steps[s.step]
	if !ok {
		done = fmt.Sprintf("step %d", s.step)
	}
	return fmt.Sprintf("after %s: %v", done, s.cause)
}

func (s *stopped) Unwrap() error { return s.cause }
