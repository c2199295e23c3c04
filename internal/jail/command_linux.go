package jail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Command is a program that runs in a jail, or is to. It is used by one goroutine, but
// for Kill.
type Command struct {
	plan    Plan
	cmd     *exec.Cmd
	entry   entry
	report  *os.File // our end of the connection to the process; nil without a jail
	oom     *os.File // counts what the out-of-memory killer did in the cgroup
	killed  bool
	cleanup sync.Once
}

// executable is the running program, even if its file has been replaced.
const executable = "/proc/self/exe"

// Command returns a program that is to run in the jail. Its cgroup is there when it
// returns: the caller calls Start and then Wait, or Close.
func (p Plan) Command(process Process) (*Command, error) { return p.command(executable, process) }

func (p Plan) command(executable string, process Process) (*Command, error) {
	c := &Command{plan: p}
	c.cmd = &exec.Cmd{
		Env: []string{}, Dir: "/", Stderr: process.Stderr, ExtraFiles: process.Files,
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true},
		WaitDelay:   time.Second,
	}
	if len(p.Layers) == 0 {
		c.cmd.Path, c.cmd.Args = process.Program, append([]string{process.Program}, process.Args...)
		if process.Self != "" {
			c.cmd.Path, c.cmd.Args[0] = executable, process.Self
		}
		return c, nil
	}
	if p.Has(Cgroup) {
		if err := makeCgroups(p.Cgroups, process.Limits); err != nil {
			_ = RemoveCgroups(p.Cgroups)
			return nil, layerError(Cgroup, err)
		}
		c.oom = oomCounter(p.Cgroups)
	}
	ours, theirs, err := connection()
	if err != nil {
		_ = c.Close()
		return nil, layerError("", err)
	}
	c.report = ours
	c.cmd.ExtraFiles = append(append([]*os.File{}, process.Files...), theirs)
	c.cmd.Path = executable
	c.cmd.Args = []string{Name, strconv.Itoa(firstFile + len(process.Files))}
	c.entry = entry{
		Layers: p.Layers, Cgroups: p.Cgroups, Role: process.Role, Program: process.Program, Args: process.Args,
		Self: process.Self, Read: process.Read, Devices: process.Devices, Limits: process.Limits,
	}
	if p.Has(Namespaces) {
		c.entry.User = userOf(process.Box, process.Devices)
		if process.Self != "" && !othersMayExecute(executable) {
			c.entry.User = user{}
		}
		enterNamespaces(c.cmd.SysProcAttr, c.entry.User)
	}
	return c, nil
}

// Start starts the process and returns when it has become the program. If a layer
// can't be built, or ctx ends meanwhile, nothing runs. The process is killed when the calling
// thread ends.
func (c *Command) Start(ctx context.Context) error {
	err := c.start()
	if c.report == nil {
		return err
	}
	defer c.report.Close()
	theirs := c.cmd.ExtraFiles[len(c.cmd.ExtraFiles)-1]
	_ = theirs.Close()
	if err != nil {
		_ = c.Close()
		return layerError(Namespaces, err)
	}
	// Its end ends the conversation.
	stop := context.AfterFunc(ctx, func() { _ = c.Kill() })
	err = c.converse()
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		_ = c.Close()
	}
	return err
}

// start starts the process: in its cgroup if the kernel can do that (clone3, which
// containers may forbid), for to join it later takes as long as until nobody in the system
// makes or ends a thread.
func (c *Command) start() error {
	if cgroup := unified(c.entry.Cgroups); cgroup != nil {
		defer cgroup.Close()
		inside, attributes := *c.cmd, *c.cmd.SysProcAttr
		attributes.UseCgroupFD, attributes.CgroupFD = true, int(cgroup.Fd())
		inside.SysProcAttr = &attributes
		if inside.Start() == nil {
			c.cmd, c.entry.Cgroups = &inside, nil
			return nil
		}
	}
	return c.cmd.Start()
}

// converse tells the process what to become, and hears whether it has.
func (c *Command) converse() error {
	if err := json.NewEncoder(c.report).Encode(c.entry); err != nil {
		return layerError("", err)
	}
	// The connection is closed by execve.
	answer, err := io.ReadAll(io.LimitReader(c.report, maxReport))
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		return layerError("", err)
	}
	if len(answer) == 0 {
		return nil
	}
	var f failure
	if err := json.Unmarshal(answer, &f); err != nil {
		return layerError("", fmt.Errorf("it says %.100q", answer))
	}
	return layerError(f.Layer, errors.New(f.Message))
}

// Wait waits until the program has ended, and then removes what belonged to it.
func (c *Command) Wait() error { return errors.Join(c.cmd.Wait(), c.Close()) }

// Close removes the cgroup. Wait does so, too.
func (c *Command) Close() (err error) {
	c.cleanup.Do(func() {
		if c.report != nil {
			_ = c.report.Close()
		}
		if c.oom != nil {
			c.killed = oomKills(c.oom) > 0
			_ = c.oom.Close()
		}
		err = RemoveCgroups(c.plan.Cgroups)
	})
	return err
}

// Kill ends the program at once, if it still runs.
func (c *Command) Kill() error {
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// PID returns the process ID, once it is started.
func (c *Command) PID() int { return c.cmd.Process.Pid }

// OutOfMemory reports, after Wait, whether the kernel killed the program because it had
// reached its limit on memory.
func (c *Command) OutOfMemory() bool { return c.killed }

// layerError says which layer can't be built.
func layerError(l Layer, err error) error {
	op := "build the jail"
	if l != "" {
		op += ", layer " + string(l)
	}
	return &layerFailure{l, &protocol.Error{
		Kind: protocol.KindEngine, Op: op, Err: err, Hint: "see what this host gives with boxlite doctor",
	}}
}

// layerFailure lets Probe know which layer it was.
type layerFailure struct {
	layer Layer
	err   *protocol.Error
}

func (f *layerFailure) Error() string { return f.err.Error() }
func (f *layerFailure) Unwrap() error { return f.err }

// connection returns two ends: ours, and one for the process.
func connection() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "jail"), os.NewFile(uintptr(fds[1]), "jail"), nil
}

// ProgramFiles returns what a program that is installed in the usual way needs to
// read: shared libraries, and its own data in share folders with the given names.
func ProgramFiles(program string, share ...string) []string {
	files := []string{
		"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/etc/alternatives",
	}
	if real, err := filepath.EvalSymlinks(program); err == nil {
		program = real
	}
	prefix := filepath.Dir(filepath.Dir(program))
	if prefix == "/" || prefix == "/usr" {
		prefix = "/usr"
	} else {
		files = append(files, filepath.Join(prefix, "lib"), filepath.Join(prefix, "lib64"))
	}
	if within(program, "/nix/store") || within(program, "/gnu/store") {
		files = append(files, "/nix/store", "/gnu/store")
	}
	for _, name := range share {
		files = append(files, filepath.Join(prefix, "share", name))
	}
	return files
}

// SelfFiles returns what this executable needs to read when it is started again: nothing,
// or its loader and shared libraries if it is linked to any.
func SelfFiles() []string {
	loader := interpreter(executable)
	if loader == "" {
		return nil
	}
	path, err := os.Executable()
	if err != nil {
		path = loader
	}
	return append(ProgramFiles(path), loader)
}

func within(path, dir string) bool {
	below, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(below)
}
