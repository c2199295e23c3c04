package qemu

import (
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/boxlite-go/boxlite/internal/jail"
)

// firstDescriptor is the number of the first file that QEMU inherits.
const firstDescriptor = 3

// maxStderr bounds what is kept of QEMU's standard error.
const maxStderr = 8 << 10

// process is a QEMU that runs, or did.
type process struct {
	command *jail.Command
	stderr  *tail

	exited chan struct{}
	// err and at are set before exited is closed.
	err error
	at  time.Time
}

// launch starts QEMU in a jail.
//
// On Linux it is killed when the thread that started it ends, which is how the
// kernel understands "parent". Hence one goroutine keeps a thread to itself for
// as long as QEMU runs: this thread ends with the whole process only.
func launch(plan jail.Plan, program jail.Process) (*process, error) {
	p := &process{stderr: newTail(maxStderr), exited: make(chan struct{})}
	program.Stderr = p.stderr
	var err error
	if p.command, err = plan.Command(program); err != nil {
		return nil, err
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.command.Start()
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

// kill ends QEMU at once, if it still runs.
func (p *process) kill() error { return p.command.Kill() }

// socketPair returns the two ends of a new connection: one for us, one for QEMU.
func socketPair() (net.Conn, *os.File, error) {
	// The lock keeps others from forking while the descriptors could be inherited.
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
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
