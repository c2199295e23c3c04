package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// InitName is argv[0] of a container's init. A program that uses this package
// calls [InitMain] first thing in main when it finds itself under this name.
const InitName = "boxlite-init"

// Files of init: it reads its Config from standard input, which then tells it
// when the agent is gone, and writes a report to the other.
const (
	lifeFD   = 0
	reportFD = 3
	// maxReport bounds what the agent reads.
	maxReport = 16 << 10
)

// report tells the agent how init fared. Without an Op, all is well.
type report struct {
	Kind    protocol.Kind
	Op      string
	Hint    string
	Message string
	Errno   syscall.Errno
}

// startInit starts init and waits for its report.
func (c *Container) startInit(ctx context.Context) error {
	configR, life, err := os.Pipe()
	if err != nil {
		return internal("start the container's init", err)
	}
	defer configR.Close()
	c.life = life
	reportR, reportW, err := os.Pipe()
	if err != nil {
		return internal("start the container's init", err)
	}
	defer reportR.Close()
	defer reportW.Close()

	pidfd := -1
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		PidFD:      &pidfd,
		Setsid:     true,
	}
	// A cgroup namespace begins at the cgroup of the process that makes it, so
	// init makes it when it is in its own.
	attr.Unshareflags = unix.CLONE_NEWCGROUP
	if c.cgroup != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, int(c.cgroup.Fd())
	}
	c.init, err = os.StartProcess("/proc/self/exe", []string{InitName}, &os.ProcAttr{
		Dir: "/", Env: []string{"GOMAXPROCS=1"},
		Files: []*os.File{configR, nil, os.Stderr, reportW},
		Sys:   attr,
	})
	if err != nil {
		return internal("start the container's init", err)
	}
	c.initFD = os.NewFile(uintptr(pidfd), "init")
	go func() {
		_, _ = c.init.Wait()
		close(c.ended)
	}()
	configR.Close()
	reportW.Close()
	defer context.AfterFunc(ctx, func() { _ = c.init.Kill() })()

	if err := json.NewEncoder(life).Encode(c.config); err != nil {
		return internal("configure the container's init", err)
	}
	return readReport(ctx, reportR)
}

// readReport reads the report of init, and turns it into an error if it is one.
func readReport(ctx context.Context, r io.Reader) error {
	const op = "set up the container"
	text, err := io.ReadAll(io.LimitReader(r, maxReport))
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	}
	if err != nil {
		return internal(op, err)
	}
	var rep report
	if err := json.Unmarshal(text, &rep); err != nil {
		return internal(op, fmt.Errorf("init ended without a report: %w", err))
	}
	if rep.Op == "" {
		return nil
	}
	return &protocol.Error{Kind: rep.Kind, Op: rep.Op, Hint: rep.Hint, Err: &initError{rep.Message, rep.Errno}}
}

// initError is an error that happened in init.
type initError struct {
	message string
	errno   syscall.Errno
}

func (e *initError) Error() string { return e.message }

// Unwrap returns the system error at the root, if there is one.
func (e *initError) Unwrap() error {
	if e.errno == 0 {
		return nil
	}
	return e.errno
}

// InitMain is the main function of a container's init. It mounts the container's
// file systems, then waits for its end: the kernel reaps orphans by itself.
func InitMain() {
	os.Exit(initMain())
}

func initMain() int {
	out := os.NewFile(reportFD, "report")
	unix.CloseOnExec(reportFD)
	err := becomeInit()
	if err := json.NewEncoder(out).Encode(reportOf(err)); err != nil {
		return 1
	}
	if err != nil {
		return 1
	}
	out.Close()
	debug.FreeOSMemory()
	for {
		var b [1]byte
		n, err := unix.Read(lifeFD, b[:])
		if n == 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return 0
		}
	}
}

// becomeInit does all that init has to do.
func becomeInit() error {
	// The container's root can see this process, but is not to look into it.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return internal("make init non-dumpable", err)
	}
	// What ps shows; execve named it "exe".
	if err := os.WriteFile("/proc/self/comm", []byte(InitName), 0); err != nil {
		return internal("name init", err)
	}
	var config Config
	if err := json.NewDecoder(os.Stdin).Decode(&config); err != nil {
		return internal("read init's configuration", err)
	}
	if err := mountAll(config); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(config.Hostname)); err != nil {
		return internal("set the hostname", err)
	}
	// Standard error was the agent's.
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return internal("detach init", err)
	}
	defer null.Close()
	for fd := 1; fd <= 2; fd++ {
		if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
			return internal("detach init", err)
		}
	}
	if err := dropAllCapabilities(); err != nil {
		return internal("drop init's capabilities", err)
	}
	// Last, as the Go runtime reaches all threads by a signal.
	if err := defaultSignals(); err != nil {
		return internal("reset init's signals", err)
	}
	return nil
}

// defaultSignals takes all signals from the Go runtime: the kernel then drops
// those that come from the container, as its init has no handler for them. With
// SIGCHLD ignored it also reaps orphans without being asked.
func defaultSignals() error {
	const sigIgn = 1
	type sigaction struct {
		handler, flags, restorer uintptr
		mask                     uint64
	}
	for sig := unix.Signal(1); sig <= 64; sig++ {
		action := sigaction{}
		switch sig {
		case unix.SIGKILL, unix.SIGSTOP:
			continue
		case unix.SIGCHLD:
			action.handler = sigIgn
		}
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig),
			uintptr(unsafe.Pointer(&action)), 0, unsafe.Sizeof(action.mask), 0, 0)
		if errno != 0 {
			return fmt.Errorf("signal %d: %w", sig, errno)
		}
	}
	return nil
}

func reportOf(err error) report {
	if err == nil {
		return report{}
	}
	rep := report{Kind: protocol.KindOf(err), Op: "set up the container", Hint: protocol.HintOf(err), Message: err.Error()}
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		rep.Op, rep.Message = e.Op, ""
		if e.Err != nil {
			rep.Message = e.Err.Error()
		}
	}
	_ = errors.As(err, &rep.Errno)
	return rep
}
