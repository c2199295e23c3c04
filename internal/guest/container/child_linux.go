package container

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Child is a process that was started in the container.
type Child struct {
	// PID is its process ID in the container.
	PID int
	// Stdin is the end to write to, or nil if the process was given none.
	Stdin *os.File
	// Stdout and Stderr are the ends to read from. The caller closes them.
	// They end when the process and all that inherited them have closed
	// theirs. Of a process with a terminal, Stdin and Stdout are the terminal's
	// one master, which ends with EIO instead of EOF, and Stderr is nil.
	Stdout, Stderr *os.File

	agentPID int
	pidfd    *os.File
	cgroup   *limited // nil without limits
	tty      bool
	// endsGroup says that when the process ends, its process group is killed.
	endsGroup atomic.Bool
	done      chan struct{}
	status    ExitStatus
	usage     Usage
}

// ExitStatus says how a process ended.
type ExitStatus struct {
	// Code is 0 to 255; 128 + Signal if a signal ended it.
	Code int
	// Signal is 0 if the process ended by itself.
	Signal syscall.Signal
}

// Usage is what a process has used, with those that it waited for.
type Usage struct {
	UserTime, SystemTime time.Duration
	// MaxMemory is the most memory, in bytes, that one of them had at a time; with
	// limits, that all together had. It is not less than what the agent has, as a
	// process shares that before it executes its command.
	MaxMemory uint64
}

// newChild begins to wait for the process of a program.
func newChild(c *Container, p *program, s *stdio, cgroup *limited) *Child {
	child := &Child{agentPID: p.pid, tty: s.tty, cgroup: cgroup, done: make(chan struct{})}
	// Non-blocking, so that waiting parks a goroutine rather than a thread.
	_ = unix.SetNonblock(int(p.pidfd), true)
	child.pidfd = os.NewFile(uintptr(p.pidfd), "pidfd")
	c.children.Add(1)
	go func() {
		defer c.children.Done()
		child.reap()
	}()
	return child
}

// reap waits until the process has ended and takes its status.
func (c *Child) reap() {
	defer close(c.done)
	defer c.pidfd.Close()
	var status unix.WaitStatus
	var usage unix.Rusage
	reaped := func(uintptr) bool {
		if c.endsGroup.Load() && c.isZombie() {
			// Not reaped yet, so its ID, and that of its group, is no other's.
			_ = unix.Kill(-c.agentPID, unix.SIGKILL) // a group of nobody else is no error
		}
		for {
			pid, err := unix.Wait4(c.agentPID, &status, unix.WNOHANG, &usage)
			if !errors.Is(err, unix.EINTR) {
				return pid != 0
			}
		}
	}
	raw, err := c.pidfd.SyscallConn()
	if err == nil {
		err = raw.Read(reaped)
	}
	if err != nil {
		// No poller: wait with a thread.
		_, _ = unix.Wait4(c.agentPID, &status, 0, &usage)
	}
	c.status = ExitStatus{Code: status.ExitStatus()}
	if status.Signaled() {
		c.status = ExitStatus{Code: 128 + int(status.Signal()), Signal: status.Signal()}
	}
	c.usage = Usage{
		UserTime:   time.Duration(usage.Utime.Nano()),
		SystemTime: time.Duration(usage.Stime.Nano()),
		MaxMemory:  uint64(usage.Maxrss) << 10,
	}
	if c.cgroup != nil {
		if n := c.cgroup.maxMemory(); n > 0 {
			c.usage.MaxMemory = n
		}
		if c.endsGroup.Load() {
			_ = c.cgroup.kill() // all that have left the group as well; it may be empty
		}
		c.cgroup.release()
	}
}

// isZombie reports whether the process has ended and is not reaped yet.
func (c *Child) isZombie() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, c.agentPID, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && info.Signo != 0
}

// EndGroup has the process group of the process killed when the process ends. One
// that is a session leader, as each of ours, leads a group.
func (c *Child) EndGroup() { c.endsGroup.Store(true) }

// Session returns the ID of the process's session, as the agent sees it: that of
// all processes it starts, unless they begin another.
func (c *Child) Session() int { return c.agentPID }

// Done is closed when the process has ended. Output may still be in its pipes.
func (c *Child) Done() <-chan struct{} { return c.done }

// Wait returns how the process ended, when it has. Any number of goroutines may
// wait.
func (c *Child) Wait() ExitStatus {
	<-c.done
	return c.status
}

// Usage returns what the process has used, when it has ended.
func (c *Child) Usage() Usage {
	<-c.done
	return c.usage
}

// Signal sends a signal to the process, but not to its children.
func (c *Child) Signal(sig syscall.Signal) error {
	op := "send " + sig.String()
	var err error
	send := func(fd uintptr) { err = unix.PidfdSendSignal(int(fd), sig, nil, 0) }
	if !control(c.pidfd, send) {
		err = unix.ESRCH // closed, as it has been reaped
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ESRCH):
		return &protocol.Error{Kind: protocol.KindInvalidState, Op: op, Err: os.ErrProcessDone}
	case errors.Is(err, unix.EINVAL):
		return &protocol.Error{Kind: protocol.KindInvalidArgument, Op: op, Err: err}
	}
	return internal(op, err)
}

// SignalGroup sends a signal to the process and all others in its process group,
// which it leads. It does nothing once the process has ended.
func (c *Child) SignalGroup(sig syscall.Signal) error {
	const alive = 0
	if err := c.Signal(alive); err != nil {
		return err
	}
	// The group can't be another's: its leader lived a moment ago.
	if err := unix.Kill(-c.agentPID, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return internal("send "+sig.String(), err)
	}
	return nil
}

// Resize sets the size of the process's terminal.
func (c *Child) Resize(rows, cols uint16) error {
	const op = "resize the terminal"
	if !c.tty {
		return &protocol.Error{
			Kind: protocol.KindInvalidState, Op: op, Err: errors.New("the process has none"),
			Hint: "start the command with a terminal",
		}
	}
	var err error
	resize := func(fd uintptr) {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	}
	if !control(c.Stdout, resize) {
		return &protocol.Error{Kind: protocol.KindInvalidState, Op: op, Err: os.ErrClosed}
	}
	if err != nil {
		return internal(op, err)
	}
	return nil
}

// control calls f with a file's descriptor, unless the file is closed.
func control(file *os.File, f func(fd uintptr)) bool {
	raw, err := file.SyscallConn()
	return err == nil && raw.Control(f) == nil
}
