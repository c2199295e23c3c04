package container

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Limits bound what a process and all that it starts may use. 0 means what the
// container may.
type Limits struct {
	MemoryBytes uint64
	// CPUMillis are thousandths of a CPU.
	CPUMillis uint32
	// PIDs counts processes and threads.
	PIDs uint32
}

// leafCgroup is where processes without limits of their own are.
const leafCgroup = "all"

// cpuPeriod is the kernel's default, in microseconds.
const cpuPeriod = 100_000

// cgroups are the container's cgroup and those below it. cgroup v2 wants
// processes in leaves only, if any is to have limits: so there is a leaf for all,
// and one for each process with limits.
type cgroups struct {
	top, leaf *os.File

	mu      sync.Mutex
	enabled bool
	next    int
	// busy are cgroups of processes that have ended and left others behind.
	busy map[string]struct{}
}

func openCgroups(dir string) (*cgroups, error) {
	top, err := os.OpenFile(dir, unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &cgroups{top: top, busy: make(map[string]struct{})}, nil
}

// split moves init to the leaf for all. It was born at the top, so that the
// container's cgroup namespace begins there.
func (c *cgroups) split(initPID int) (err error) {
	if c.leaf, err = c.make(leafCgroup); err != nil {
		return err
	}
	return writeAt(c.leaf, "cgroup.procs", strconv.Itoa(initPID))
}

func (c *cgroups) make(name string) (*os.File, error) {
	if err := unix.Mkdirat(int(c.top.Fd()), name, 0o755); err != nil {
		return nil, &os.PathError{Op: "mkdir", Path: name, Err: err}
	}
	fd, err := unix.Openat(int(c.top.Fd()), name, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// limited is the cgroup of one process with limits.
type limited struct {
	of   *cgroups
	name string
	dir  *os.File
}

// limit makes a cgroup with limits, or returns nil if there are none.
func (c *cgroups) limit(l Limits) (*limited, error) {
	if l == (Limits{}) {
		return nil, nil
	}
	fail := func(err error) (*limited, error) {
		return nil, &protocol.Error{Kind: protocol.KindUnsupported, Op: "limit the command", Err: err}
	}
	if c == nil {
		return fail(errors.New("the container has no cgroup"))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.enable(); err != nil {
		return fail(err)
	}
	c.sweep()
	c.next++
	name := "command-" + strconv.Itoa(c.next)
	dir, err := c.make(name)
	if err != nil {
		return fail(err)
	}
	g := &limited{of: c, name: name, dir: dir}
	if err := l.set(dir); err != nil {
		dir.Close()
		c.remove(name)
		return fail(err)
	}
	return g, nil
}

// set writes the limits.
func (l Limits) set(dir *os.File) error {
	var errs []error
	if l.MemoryBytes > 0 {
		errs = append(errs, writeAt(dir, "memory.max", strconv.FormatUint(l.MemoryBytes, 10)))
	}
	if l.CPUMillis > 0 {
		quota := max(1000, uint64(l.CPUMillis)*cpuPeriod/1000)
		errs = append(errs, writeAt(dir, "cpu.max", fmt.Sprintf("%d %d", quota, cpuPeriod)))
	}
	if l.PIDs > 0 {
		errs = append(errs, writeAt(dir, "pids.max", strconv.FormatUint(uint64(l.PIDs), 10)))
	}
	return errors.Join(errs...)
}

// enable turns on, once, the controllers that limits need. Without any process
// with limits, none has to be accounted for twice.
func (c *cgroups) enable() error {
	if c.enabled {
		return nil
	}
	err := writeAt(c.top, "cgroup.subtree_control", "+cpu +memory +pids")
	c.enabled = err == nil
	return err
}

// release forgets a cgroup once its process has ended. It is removed now, or if
// other processes are left in it, when they have ended too.
func (g *limited) release() {
	g.dir.Close()
	g.of.mu.Lock()
	defer g.of.mu.Unlock()
	g.of.busy[g.name] = struct{}{}
	g.of.sweep()
}

// kill ends all processes of the cgroup.
func (g *limited) kill() error { return writeAt(g.dir, "cgroup.kill", "1") }

// maxMemory returns the most that its processes had at a time, or 0.
func (g *limited) maxMemory() uint64 {
	text, err := readAt(g.dir, "memory.peak")
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	return n
}

// sweep removes the cgroups that nobody is in any more.
func (c *cgroups) sweep() {
	for name := range c.busy {
		if c.remove(name) {
			delete(c.busy, name)
		}
	}
}

func (c *cgroups) remove(name string) bool {
	err := unix.Unlinkat(int(c.top.Fd()), name, unix.AT_REMOVEDIR)
	return err == nil || errors.Is(err, unix.ENOENT)
}

// close removes what is below the container's cgroup, in which no process is left.
func (c *cgroups) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep()
	if c.leaf != nil {
		c.remove(leafCgroup)
		c.leaf.Close()
	}
	c.top.Close()
}

// writeAt writes a file of a cgroup, which takes its text in one write.
func writeAt(dir *os.File, name, text string) error {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(text)); err != nil {
		return &os.PathError{Op: "write", Path: name, Err: err}
	}
	return nil
}

func readAt(dir *os.File, name string) (string, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	var buf [256]byte
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return "", &os.PathError{Op: "read", Path: name, Err: err}
	}
	return string(bytes.TrimRight(buf[:n], "\x00")), nil
}
