package container

import (
	"errors"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// launch starts the process.
func (l *launch) launch(c *Container) (*Child, error) {
	p, err := l.program(c)
	if err != nil {
		return nil, err
	}
	c.starting <- struct{}{}
	defer func() { <-c.starting }()
	c.programs <- p
	<-p.started
	if p.err != nil {
		return nil, startError(p.err)
	}
	child := newChild(c, p, l.stdio, l.cgroup)
	l.cgroup = nil // the child's now
	p.wait()
	if stage, err := p.failed(); err != nil {
		<-child.done
		return nil, execError(stage, err)
	}
	child.PID = int(p.calls[0].result)
	l.stdio.release(child)
	return child, nil
}

// serve sets the container up, and then starts the programs of new processes,
// from a thread of its own that is in the container but has not given up its
// rights. It ends with the container, and its thread with it.
func (c *Container) serve(ready chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The main thread is the one that /proc shows for the process. While it
		// is held here, serve gets another.
		defer runtime.UnlockOSThread()
		other := make(chan error)
		go c.serve(other)
		ready <- <-other
		return
	}
	// This thread is of no use to others now: it stays locked.
	err := c.enter()
	ready <- err
	if err != nil {
		return
	}
	for p := range c.programs {
		p.pid, p.err = p.start()
		close(p.started)
	}
}

// enter makes the container's namespaces, with all that is mounted in them, and
// leaves the calling thread in them. Go starts no threads from a locked one, so no
// other is affected.
func (c *Container) enter() error {
	const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	if err := unix.Unshare(unix.CLONE_FS | namespaces); err != nil {
		return internal("make the container's namespaces", err)
	}
	unix.Umask(0o022)
	if err := unix.Sethostname([]byte(c.config.Hostname)); err != nil {
		return internal("set the hostname", err)
	}
	if err := mountAll(c.config.Root); err != nil {
		return err
	}
	if err := c.startInit(); err != nil {
		return err
	}
	if err := unix.Setns(int(c.initFD.Fd()), unix.CLONE_NEWPID); err != nil {
		return internal("enter the PID namespace", err)
	}
	if err := finishMounts(c.config); err != nil {
		return err
	}
	if err := c.openFiles(); err != nil {
		return internal("open the container's files", err)
	}
	if err := limitCapabilities(c.capabilities); err != nil {
		return internal("limit capabilities", err)
	}
	if err := loadThreadFilter(c.capabilities); err != nil {
		return internal("load the seccomp filter", err)
	}
	return nil
}

// program returns what the new process does until it is the command. It begins
// with all rights of the agent, and drops them as soon as it needs them no more.
func (l *launch) program(c *Container) (*program, error) {
	argv, err := syscall.SlicePtrFromStrings(l.args)
	if err != nil {
		return nil, badString("argument", err)
	}
	envv, err := syscall.SlicePtrFromStrings(l.env)
	if err != nil {
		return nil, badString("environment", err)
	}
	files, err := candidates(l.args[0], l.env)
	if err != nil {
		return nil, badString("command", err)
	}
	cgroup := -1
	if l.cgroup != nil {
		cgroup = int(l.cgroup.dir.Fd())
	} else if c.cgroups != nil {
		cgroup = int(c.cgroups.leaf.Fd())
	}

	p := newProgram(cgroup)
	p.add("get the process ID", unix.SYS_GETPID)
	p.add("enter the cgroup namespace", unix.SYS_SETNS, c.initFD.Fd(), unix.CLONE_NEWCGROUP)
	p.add("start a session", unix.SYS_SETSID)
	for to, f := range l.stdio.child {
		p.add("connect standard input and output", unix.SYS_DUP3, f.Fd(), uintptr(to), 0)
	}
	if l.stdio.tty {
		p.add("take the terminal", unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
	}
	for i := range c.limits {
		value := p.ref(unsafe.Pointer(&c.limits[i].value))
		p.add("set resource limits", unix.SYS_PRLIMIT64, 0, uintptr(c.limits[i].resource), value, 0)
	}
	p.add("enter the working directory", unix.SYS_FCHDIR, l.dir.Fd())
	// All is close-on-exec anyway; but nothing of the agent may ever leak.
	p.add("close files", unix.SYS_CLOSE_RANGE, 3, ^uintptr(0)>>32, 0)
	p.addFilter()
	p.add("limit capabilities", unix.SYS_CAPSET, p.ref(unsafe.Pointer(capHeader())), p.ref(unsafe.Pointer(startCaps(c.capabilities))))
	p.add("set groups", unix.SYS_SETGROUPS, uintptr(len(l.who.groups)), p.ref(unsafe.Pointer(&l.who.groups[0])))
	p.add("set group", unix.SYS_SETRESGID, uintptr(l.who.gid), uintptr(l.who.gid), uintptr(l.who.gid))
	p.add("set user", unix.SYS_SETRESUID, uintptr(l.who.uid), uintptr(l.who.uid), uintptr(l.who.uid))
	for _, file := range files {
		p.addTolerant("execute", notHere, unix.SYS_EXECVE, p.ref(unsafe.Pointer(file)),
			p.ref(unsafe.Pointer(&argv[0])), p.ref(unsafe.Pointer(&envv[0])))
	}
	return p, nil
}

// notHere are the errors after which execvp looks further along PATH.
var notHere = errorSet(unix.ENOENT, unix.EACCES, unix.ENOTDIR, unix.ENODEV, unix.ELOOP, unix.ENAMETOOLONG)

// candidates returns the files to try for a command, in order.
func candidates(command string, env []string) ([]*byte, error) {
	dirs := []string{""}
	if !strings.Contains(command, "/") {
		for _, e := range env {
			if path, ok := strings.CutPrefix(e, "PATH="); ok {
				dirs = strings.Split(path, ":")
			}
		}
	}
	var files []*byte
	for _, dir := range dirs {
		if dir != "" {
			dir += "/"
		}
		file, err := syscall.BytePtrFromString(dir + command)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

func badString(what string, err error) error {
	return &protocol.Error{
		Kind: protocol.KindInvalidArgument, Op: what, Err: err,
		Hint: "remove the zero byte from it",
	}
}

// startError explains an error of clone3.
func startError(err error) error {
	if errors.Is(err, unix.EAGAIN) {
		return &protocol.Error{
			Kind: protocol.KindResourceExhausted, Op: "start a process", Err: err,
			Hint: "the box has as many processes as it may have; end some",
		}
	}
	return &protocol.Error{Kind: protocol.KindInternal, Op: "start a process", Err: err}
}

// execError explains why a process did not come to run its command.
func execError(stage string, err error) error {
	if stage != "execute" {
		return internal(stage, err)
	}
	var hint string
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		hint = "there is no such command in the box, or the interpreter that it names is missing"
	case errors.Is(err, unix.EACCES):
		hint = "make it executable with chmod +x, or check that the user may reach it"
	case errors.Is(err, unix.ENOEXEC):
		hint = "it is no program for this machine; a script must begin with #! and its interpreter"
	case errors.Is(err, unix.E2BIG):
		hint = "pass less by arguments and environment, and more by a file or standard input"
	}
	return &protocol.Error{Kind: protocol.KindExecution, Hint: hint, Err: err}
}
