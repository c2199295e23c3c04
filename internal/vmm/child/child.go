package child

import (
	"context"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/vmm/console"
)

// FirstFile is the number of the first descriptor that a program inherits beside the
// standard ones.
const FirstFile = 3

// maxStderr bounds what is kept of a program's standard error.
const maxStderr = 8 << 10

// Process is a program that runs in a jail, or did.
type Process struct {
	// Stderr is the end of its standard error.
	Stderr *console.Tail

	command *jail.Command

	exited chan struct{}
	// err and at are set before exited is closed.
	err error
	at  time.Time
}

// Launch starts a program in a jail. When ctx ends, a program that runs goes on.
//
// On Linux it is killed when the thread that started it ends, which is how the
// kernel understands "parent". Hence one goroutine keeps a thread to itself for
// as long as the program runs: this thread ends with the whole process only.
func Launch(ctx context.Context, plan jail.Plan, program jail.Process) (*Process, error) {
	p := &Process{Stderr: console.NewTail(maxStderr), exited: make(chan struct{})}
	program.Stderr = p.Stderr
	var err error
	if p.command, err = plan.Command(program); err != nil {
		return nil, err
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.command.Start(ctx)
		started <- err
		if err != nil {
			return
		}
		p.err = p.command.Wait()
		p.at = time.Now()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Exited is closed when the program has ended, and nothing of it is left.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Result tells how the program ended, and when: nil is status 0. It waits until then.
func (p *Process) Result() (at time.Time, err error) {
	<-p.exited
	return p.at, p.err
}

// PID returns the process ID.
func (p *Process) PID() int { return p.command.PID() }

// OutOfMemory reports, once the program has ended, whether the host's kernel killed it
// because it had reached its limit on memory.
func (p *Process) OutOfMemory() bool { return p.command.OutOfMemory() }

// Kill ends the program at once, if it still runs.
func (p *Process) Kill() error { return p.command.Kill() }

// SocketPair returns the two ends of a new connection: one for us, and one for a
// program to inherit. It is of a type such as syscall.SOCK_STREAM.
func SocketPair(kind int) (net.Conn, *os.File, error) {
	// The lock keeps others from forking while the descriptors could be inherited.
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, kind, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "socketpair"), os.NewFile(uintptr(fds[1]), "socketpair")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}
