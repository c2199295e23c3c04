package container

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Process says what to run. What is empty comes from the Config.
type Process struct {
	// Args[0] is looked up in the PATH of the process's own environment, as
	// execvp does it.
	Args []string
	// Env is added to the container's; of several values the last counts.
	Env []string
	// Dir must exist in the container.
	Dir string
	// User is name|uid[:group|gid].
	User string
	// TTY gives the process a terminal of Rows × Cols; 0 means 24 × 80.
	TTY        bool
	Rows, Cols uint16
	// Stdin gives the process a pipe to read from; without, it reads from
	// /dev/null. A terminal is readable either way.
	Stdin bool
}

// Spawn starts a process, and returns when execve has succeeded.
//
// The error wraps ENOENT if the command isn't there and EACCES if it may not be
// executed. Spawn may be called by any number of goroutines at once.
func (c *Container) Spawn(process Process) (*Child, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	op := "run"
	if len(process.Args) == 0 || process.Args[0] == "" {
		return nil, &protocol.Error{
			Kind: protocol.KindInvalidArgument, Op: op, Err: errors.New("no command"),
			Hint: "Name the command to run.",
		}
	}
	op += " " + process.Args[0]
	if c.killed {
		return nil, stopped(op)
	}
	l, err := c.prepare(process)
	if err != nil {
		return nil, withOp(op, err)
	}
	defer l.close()
	child, err := l.launch(c)
	if err != nil {
		select {
		case <-c.ended:
			return nil, stopped(op)
		default:
			return nil, withOp(op, err)
		}
	}
	return child, nil
}

// withOp names what was tried in an error that may have a kind and a hint.
func withOp(op string, err error) error {
	if _, ok := errors.AsType[*protocol.Error](err); ok {
		return &protocol.Error{Kind: protocol.KindOf(err), Op: op, Hint: protocol.HintOf(err), Err: err}
	}
	return &protocol.Error{Kind: protocol.KindExecution, Op: op, Err: err}
}

// launch is a process that is about to start.
type launch struct {
	args, env []string
	dir       *os.File
	who       identity
	stdio     *stdio
}

// prepare looks up, in the container, all that a process needs.
func (c *Container) prepare(process Process) (*launch, error) {
	l := &launch{args: process.Args}
	user := process.User
	if user == "" {
		user = c.config.User
	}
	var err error
	if l.who, err = c.lookupUser(user); err != nil {
		return nil, err
	}
	l.env = c.environment(process, l.who)
	if l.dir, err = c.openDir(process.Dir); err != nil {
		return nil, err
	}
	if l.stdio, err = c.openStdio(process, l.who); err != nil {
		l.dir.Close()
		return nil, err
	}
	return l, nil
}

func (l *launch) close() {
	l.dir.Close()
	l.stdio.close()
}

// lookupUser resolves a user by the container's own files.
func (c *Container) lookupUser(spec string) (identity, error) {
	passwd, err := c.openRegular("/etc/passwd")
	if err != nil {
		return identity{}, err
	}
	defer passwd.Close()
	group, err := c.openRegular("/etc/group")
	if err != nil {
		return identity{}, err
	}
	defer group.Close()
	return lookupUser(spec, passwd, group)
}

// openDir opens the working directory of a process.
func (c *Container) openDir(dir string) (*os.File, error) {
	if dir == "" {
		dir = c.config.Dir
	}
	if !strings.HasPrefix(dir, "/") {
		dir = "/" + dir
	}
	f, err := c.open(dir, unix.O_DIRECTORY|unix.O_PATH)
	if err != nil {
		return nil, &protocol.Error{
			Kind: protocol.KindInvalidArgument, Op: "enter the working directory",
			Hint: fmt.Sprintf("Make %s in the box first, or choose another directory.", dir), Err: err,
		}
	}
	return f, nil
}

// defaultPath is the PATH of a process that was given none, as Docker's.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment returns the variables of a process, each once.
func (c *Container) environment(process Process, who identity) []string {
	env := []string{"PATH=" + defaultPath, "HOSTNAME=" + c.config.Hostname}
	if process.TTY {
		env = append(env, "TERM=xterm")
	}
	env = append(env, "HOME="+who.home)
	given := slices.Concat(c.config.Env, process.Env)
	index := map[string]int{}
	for i, e := range env {
		name, _, _ := strings.Cut(e, "=")
		index[name] = i
	}
	for _, e := range given {
		name, _, ok := strings.Cut(e, "=")
		if !ok || name == "" || strings.ContainsRune(e, 0) {
			continue
		}
		if i, ok := index[name]; ok {
			env[i] = e
			continue
		}
		index[name] = len(env)
		env = append(env, e)
	}
	return env
}

// launch starts the process.
func (l *launch) launch(c *Container) (*Child, error) {
	p, err := l.program(c)
	if err != nil {
		return nil, err
	}
	c.programs <- p
	<-p.started
	if p.err != nil {
		return nil, startError(p.err)
	}
	child := newChild(c, p, l.stdio)
	p.wait()
	if stage, err := p.failed(); err != nil {
		<-child.done
		return nil, execError(stage, err)
	}
	child.PID = int(p.calls[0].result)
	l.stdio.release(child)
	return child, nil
}

// serve starts the programs of new processes, from a thread of its own that has
// entered the container but not given up its rights. It ends with the container,
// and its thread with it.
func (c *Container) serve(ready chan<- error) {
	runtime.LockOSThread() // for good: this thread is of no use to others
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

// enter takes the calling thread into the container. Go starts no threads from
// a locked one, so no other is affected.
func (c *Container) enter() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	if err := unix.Setns(int(c.initFD.Fd()), namespaces); err != nil {
		return fmt.Errorf("setns: %w", err)
	}
	unix.Umask(0o022)
	if err := limitCapabilities(); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return loadThreadFilter()
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
	if c.cgroup != nil {
		cgroup = int(c.cgroup.Fd())
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
	for _, limit := range limits {
		// EPERM: an agent without CAP_SYS_RESOURCE can't raise what it has.
		p.addTolerant("set resource limits", errorSet(unix.EPERM), unix.SYS_PRLIMIT64, 0, limit.resource, p.ref(unsafe.Pointer(&limit.value)), 0)
	}
	p.add("enter the working directory", unix.SYS_FCHDIR, l.dir.Fd())
	// All is close-on-exec anyway; but nothing of the agent may ever leak.
	p.add("close files", unix.SYS_CLOSE_RANGE, 3, ^uintptr(0)>>32, 0)
	p.addFilter()
	p.add("limit capabilities", unix.SYS_CAPSET, p.ref(unsafe.Pointer(capHeader())), p.ref(unsafe.Pointer(containerCaps())))
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
		Hint: "Remove the zero byte from it.",
	}
}

// startError explains an error of clone3.
func startError(err error) error {
	if errors.Is(err, unix.EAGAIN) {
		return &protocol.Error{
			Kind: protocol.KindResourceExhausted, Op: "start a process", Err: err,
			Hint: "The box has as many processes as it may have; end some.",
		}
	}
	return &protocol.Error{Kind: protocol.KindInternal, Op: "start a process", Err: err}
}

// execError explains why a process did not come to run its command.
func execError(stage string, err error) error {
	if stage != "execute" {
		return internal(stage, err)
	}
	hint := ""
	switch {
	case errors.Is(err, unix.ENOENT):
		hint = "There is no such command in the box, or the interpreter that it names is missing."
	case errors.Is(err, unix.EACCES):
		hint = "Make it executable with chmod +x, or check that the user may reach it."
	case errors.Is(err, unix.ENOEXEC):
		hint = "It is no program for this machine; a script must begin with #! and its interpreter."
	case errors.Is(err, unix.E2BIG):
		hint = "Pass less by arguments and environment, and more by a file or standard input."
	}
	return &protocol.Error{Kind: protocol.KindExecution, Op: "execute", Hint: hint, Err: err}
}
