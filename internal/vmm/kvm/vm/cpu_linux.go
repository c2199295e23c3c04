//go:build amd64

package vm

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/api"
)

// cpu is one processor.
type cpu struct {
	vm     *VM
	number int
	fd     int
	shared []byte // with the kernel
	state  *api.RunState

	thread int // that runs it, or 0; guarded by the machine's mu
}

func newCPU(v *VM, number, size int) (_ *cpu, err error) {
	p := &cpu{vm: v, number: number}
	if p.fd, err = api.Do(v.fd, api.CreateVCPU, uintptr(number)); err != nil {
		return nil, err
	}
	if p.shared, err = unix.Mmap(p.fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		_ = unix.Close(p.fd)
		return nil, fmt.Errorf("share memory with the kernel: %w", err)
	}
	p.state = (*api.RunState)(unsafe.Pointer(&p.shared[0])) // a page at least
	return p, nil
}

func (p *cpu) release() {
	_ = unix.Munmap(p.shared)
	_ = unix.Close(p.fd)
}

// setExit says whether the next run is to return at once.
func (p *cpu) setExit(yes bool) {
	// The word of four fields of which this is the second: nobody else writes them.
	word := (*uint32)(unsafe.Pointer(p.state))
	if yes {
		atomic.OrUint32(word, 0x100)
	} else {
		atomic.AndUint32(word, ^uint32(0x100))
	}
}

// interrupt has the processor leave the guest, or not enter it. The caller holds the
// machine's mu.
func (p *cpu) interrupt() {
	p.setExit(true)
	if p.thread != 0 {
		// Go's runtime has a handler for this signal, and does not mind one more.
		_ = unix.Tgkill(unix.Getpid(), p.thread, unix.SIGURG)
	}
}

// run runs the processor until the machine ends.
func (p *cpu) run() {
	runtime.LockOSThread() // for good: the thread ends with its filter
	if err := jail.SealVCPU(); err != nil {
		p.vm.end(End{Err: err})
	}
	p.vm.mu.Lock()
	p.thread = unix.Gettid()
	p.vm.mu.Unlock()
	unfinished := false // the last load is not done before the guest is entered again
	for p.mayRun(&unfinished) {
		_, err := api.Do(p.fd, api.Run, 0)
		if api.IsInterrupted(err) {
			continue
		}
		if err != nil {
			p.vm.end(End{Err: err, Registers: p.registers()})
			continue
		}
		unfinished = p.handle()
	}
	p.vm.mu.Lock()
	defer p.vm.mu.Unlock()
	p.thread = 0
	p.vm.left++
	p.vm.change.Broadcast()
}

// mayRun waits while the machine is paused, and reports whether it has not ended.
func (p *cpu) mayRun(unfinished *bool) bool {
	v := p.vm
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended == nil && v.paused {
		if *unfinished {
			p.setExit(true)
			_, _ = api.Do(p.fd, api.Run, 0) // which only finishes the load
			*unfinished = false
		}
		v.parked++
		v.change.Broadcast() // once: processors that are parked would keep each other busy
		for v.ended == nil && v.paused {
			v.change.Wait()
		}
		v.parked--
	}
	p.setExit(false)
	return v.ended == nil
}

// handle does what the guest has been left for. It reports whether that is complete only
// when it is entered again.
func (p *cpu) handle() (unfinished bool) {
	detail := unsafe.Pointer(&p.state.Detail)
	switch p.state.ExitReason {
	case api.ExitMMIO:
		m := (*api.MMIO)(detail)
		data := m.Data[:min(m.Length, 8)]
		if m.IsWrite != 0 {
			p.vm.config.Bus.Write(m.Address, data)
		} else {
			p.vm.config.Bus.Read(m.Address, data)
		}
		return true
	case api.ExitIO:
		p.handlePort((*api.IO)(detail))
		return true
	case api.ExitIntr:
		return false
	case api.ExitShutdown:
		p.vm.end(End{TripleFault: true, Registers: p.registers()})
	case api.ExitFailEntry:
		p.fail("the processor refused to enter the guest, reason %#x", binary.LittleEndian.Uint64(p.state.Detail[:]))
	case api.ExitInternalError:
		p.fail("an internal error of KVM, number %d", binary.LittleEndian.Uint32(p.state.Detail[:]))
	default:
		p.fail("KVM left the guest for reason %d", p.state.ExitReason)
	}
	return false
}

func (p *cpu) fail(format string, args ...any) {
	p.vm.end(End{Err: fmt.Errorf(format, args...), Registers: p.registers()})
}

// registers are the processor's, for people.
func (p *cpu) registers() string {
	var r api.Regs
	var s api.Sregs
	if api.With(p.fd, api.GetRegs, &r) != nil || api.With(p.fd, api.GetSregs, &s) != nil {
		return fmt.Sprintf("CPU %d, whose registers can't be read", p.number)
	}
	return fmt.Sprintf("CPU %d RIP=%#x RFLAGS=%#x RAX=%#x RBX=%#x RCX=%#x RDX=%#x RSI=%#x RDI=%#x RSP=%#x RBP=%#x CS=%#x CR0=%#x CR2=%#x CR3=%#x CR4=%#x EFER=%#x",
		p.number, r.RIP, r.RFlags, r.RAX, r.RBX, r.RCX, r.RDX, r.RSI, r.RDI, r.RSP, r.RBP, s.CS.Selector, s.CR0, s.CR2, s.CR3, s.CR4, s.EFER)
}
