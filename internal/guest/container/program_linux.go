package container

import (
	"math"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// program is what a new process does between its birth and execve: a list of
// system calls, worked off in assembly. The process shares the agent's memory
// until then, but runs no Go code and uses no stack, so it disturbs nothing, and
// no thread of the agent stands still for it as in syscall.ForkExec.
type program struct {
	clone cloneArgs
	calls []call
	// alive is 1 until the process has left the agent's memory, by execve or by
	// its end: the kernel then sets it to 0 and wakes who waits.
	alive atomic.Uint32
	// pidfd is written by the kernel.
	pidfd int32
	// started is closed when pid or err is there.
	started chan struct{}
	pid     int
	err     error
	// keep holds what the calls point to, which the collector can't see.
	keep []unsafe.Pointer
}

// cloneArgs is the kernel's struct clone_args as of Linux 5.7.
type cloneArgs struct {
	flags      uint64
	pidfd      uint64
	childTID   uint64
	_          uint64 // parent_tid
	exitSignal uint64
	_          [5]uint64 // stack, stack_size, tls, set_tid, set_tid_size
	cgroup     uint64
}

// call is one system call of a program.
type call struct {
	number uintptr
	args   [6]uintptr
	// tolerated has bit n set if the program goes on after error number n.
	tolerated uint64
	// result is pending until the call has returned; errors are negative.
	result int64
	stage  string
}

// pending is a result that no system call has.
const pending = math.MinInt64

// run starts a process with clone3 and lets it make the calls, of which the last
// must not return. It returns the process ID, or a negative error number.
func run(clone *cloneArgs, calls *call) int

// newProgram returns an empty program. Its process will be born in cgroup, an
// open directory of cgroup v2, unless that is negative.
func newProgram(cgroup int) *program {
	p := &program{pidfd: -1, started: make(chan struct{})}
	p.alive.Store(1)
	p.clone = cloneArgs{
		// With its handlers cleared, no signal can run the agent's code in it.
		flags:      unix.CLONE_VM | unix.CLONE_PIDFD | unix.CLONE_CHILD_CLEARTID | unix.CLONE_CLEAR_SIGHAND,
		pidfd:      uint64(uintptr(unsafe.Pointer(&p.pidfd))),
		childTID:   uint64(uintptr(unsafe.Pointer(&p.alive))),
		exitSignal: uint64(unix.SIGCHLD),
	}
	if cgroup >= 0 {
		p.clone.flags |= unix.CLONE_INTO_CGROUP
		p.clone.cgroup = uint64(cgroup)
	}
	return p
}

// ref returns the address of what v points to, which stays there for as long as
// the program lives.
func (p *program) ref(v unsafe.Pointer) uintptr {
	p.keep = append(p.keep, v)
	return uintptr(v)
}

// add appends a call that ends the program if it fails.
func (p *program) add(stage string, number uintptr, args ...uintptr) {
	p.addTolerant(stage, 0, number, args...)
}

// addTolerant appends a call after which the program goes on if the error is in
// the set.
func (p *program) addTolerant(stage string, tolerated uint64, number uintptr, args ...uintptr) {
	c := call{number: number, tolerated: tolerated, result: pending, stage: stage}
	copy(c.args[:], args)
	p.calls = append(p.calls, c)
}

// errorSet returns the set of some error numbers below 64.
func errorSet(errnos ...syscall.Errno) (set uint64) {
	for _, e := range errnos {
		set |= 1 << e // 0 for larger ones
	}
	return set
}

// start starts the process, in the PID namespace that the calling thread has for
// its children.
func (p *program) start() (pid int, err error) {
	p.add("exit", unix.SYS_EXIT_GROUP, 127)
	pid = run(&p.clone, &p.calls[0])
	if pid < 0 {
		return 0, syscall.Errno(-pid)
	}
	return pid, nil
}

// wait returns when the process has left the agent's memory.
func (p *program) wait() {
	for p.alive.Load() != 0 {
		// Interruptions and spurious wakes are covered by the loop. The kernel
		// wakes with a shared futex, so this can't be FUTEX_PRIVATE_FLAG.
		_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&p.alive)), 0, 1, 0, 0, 0)
	}
	runtime.KeepAlive(p)
}

// failed returns the call that ended the program and its error, or nil if execve
// succeeded or a signal ended the process before. To be called after wait.
func (p *program) failed() (stage string, err error) {
	var search syscall.Errno
	last := len(p.calls) - 1 // exit_group
	for _, c := range p.calls[:last] {
		if c.result == pending {
			return "", nil
		}
		if c.result >= 0 {
			continue
		}
		errno := syscall.Errno(-c.result)
		if c.tolerated&errorSet(errno) == 0 {
			return c.stage, errno
		}
		// A file that may not be executed says more than one that isn't there.
		if c.number == unix.SYS_EXECVE && search != unix.EACCES {
			stage, search = c.stage, errno
		}
	}
	return stage, search
}
