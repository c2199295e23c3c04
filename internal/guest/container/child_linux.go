package container

import (
	"errors"
	"os"
	"syscall"

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
	tty      bool
	done     chan struct{}
	status   ExitStatus
}

// ExitStatus says how a process ended.
type ExitStatus struct {
	// Code is 0 to 255; 128 + Signal if a signal ended it.
	Code int
	// Signal is 0 if the process ended by itself.
	Signal syscall.Signal
}

// newChild begins to wait for the process of a program.
func newChild(c *Container, p *program, s *stdio) *Child {
	child := &Child{agentPID: p.pid, tty: s.tty, done: make(chan struct{})}
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
	reaped := func(uintptr) bool {
		for {
			pid, err := unix.Wait4(c.agentPID, &status, unix.WNOHANG, nil)
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
		_, _ = unix.Wait4(c.agentPID, &status, 0, nil)
	}
	switch {
	case status.Signaled():
		c.status = ExitStatus{Code: 128 + int(status.Signal()), Signal: status.Signal()}
	default:
		c.status = ExitStatus{Code: status.ExitStatus()}
	}
}

// Done is closed when the process has ended. Output may still be in its pipes.
func (c *Child) Done() <-chan struct{} { return c.done }

// Wait returns how the process ended, when it has. Any number of goroutines may
// wait.
func (c *Child) Wait() ExitStatus {
	<-c.done
	return c.status
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
