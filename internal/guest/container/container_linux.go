package container

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Config describes a container.
type Config struct {
	// Root is the folder that becomes the container's "/". All that is to be
	// in it is mounted already. The caller's own root must be a mount, not the
	// initial ramfs.
	Root string
	// Hostname is also in /etc/hostname and, unless Env has it, $HOSTNAME.
	Hostname string
	// Env, Dir and User are the defaults of every process. Dir is created if
	// it doesn't exist; empty means "/". User is name|uid[:group|gid]; empty
	// means user 0.
	Env  []string
	Dir  string
	User string
	// Hosts and ResolvConf are the contents of /etc/hosts and
	// /etc/resolv.conf. The image's own files are hidden, not changed; nil
	// leaves them visible.
	Hosts, ResolvConf []byte
	// CACertificates are what the container trusts in addition to what the image
	// does, in PEM. They are added to the image's bundles, for as long as they are
	// given; and a bundle of both is named by the environment of every process, in
	// the variables that programs look at, unless it has them already.
	CACertificates []byte
	// Capabilities are those that root has, and what anyone can gain. Nil means
	// Docker's.
	Capabilities *protocol.Capabilities
	// Cgroup is the folder of an existing cgroup v2, without processes, below
	// which all processes are born. It also confines them to the usual devices:
	// without it, which is for tests, root in the container can make and open any
	// device node, and no process can have limits.
	Cgroup string
}

// maxStarting is how many processes start at the same time. Each takes a thread
// until it has executed its command.
const maxStarting = 32

// Container is a running set of namespaces, ready for processes.
type Container struct {
	config       Config
	capabilities protocol.Capabilities
	limits       []limit
	// init is PID 1 of the container. Its namespaces are the container's.
	init *Child
	// initFD is init's pidfd; root, null and pts are the container's /, /dev/null
	// and /dev/pts.
	initFD, root, null, pts *os.File
	cgroups                 *cgroups // nil without a cgroup

	programs chan *program
	starting chan struct{} // a place for each process that has yet to execute
	children sync.WaitGroup
	users    userCache

	mu     sync.RWMutex // held for reading while a process is started
	killed bool
}

// New starts a container, and returns when everything is mounted. It makes the
// calling process non-dumpable. The caller must end the container with Kill.
func New(ctx context.Context, config Config) (*Container, error) {
	if err := ctx.Err(); err != nil {
		return nil, internal("set up the container", err)
	}
	if config.Capabilities != nil {
		if err := checkCapabilities(*config.Capabilities); err != nil {
			return nil, err
		}
	}
	// New processes share the agent's memory for a moment: root in the
	// container must not get at it through /proc.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return nil, internal("make the agent non-dumpable", err)
	}
	c := &Container{
		config: config, capabilities: protocol.DefaultCapabilities, programs: make(chan *program),
		starting: make(chan struct{}, maxStarting),
		users:    userCache{settled: settled},
	}
	if config.Capabilities != nil {
		c.capabilities = *config.Capabilities
	}
	if err := c.start(); err != nil {
		c.Kill()
		return nil, err
	}
	return c, nil
}

// start sets the container up, on a thread that from then on serves it.
func (c *Container) start() (err error) {
	if c.limits, err = processLimits(); err != nil {
		return internal("prepare the container", err)
	}
	if c.config.Cgroup != "" {
		if c.cgroups, err = openCgroups(c.config.Cgroup); err != nil {
			return internal("open the container's cgroup", err)
		}
		if err := confineDevices(int(c.cgroups.top.Fd())); err != nil {
			return internal("confine the container's devices", err)
		}
	}
	ready := make(chan error)
	go c.serve(ready)
	return <-ready
}

// openFiles opens what is needed to start processes. The calling thread's root is
// the container's.
func (c *Container) openFiles() (err error) {
	if c.root, err = os.OpenFile("/", unix.O_DIRECTORY|unix.O_PATH, 0); err != nil {
		return err
	}
	if c.null, err = c.open("/dev/null", unix.O_RDWR); err != nil {
		return err
	}
	c.pts, err = c.open("/dev/pts", unix.O_DIRECTORY|unix.O_PATH)
	return err
}

// open opens a file of the container. No symbolic link leads out of it, neither
// by name nor through /proc.
func (c *Container) open(name string, flags int) (*os.File, error) {
	fd, err := openat2(int(c.root.Fd()), name, flags, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

func openat2(dir int, name string, flags int, resolve uint64) (int, error) {
	return openHow(dir, name, &unix.OpenHow{Flags: uint64(flags) | unix.O_CLOEXEC, Resolve: resolve})
}

func openHow(dir int, name string, how *unix.OpenHow) (int, error) {
	for {
		fd, err := unix.Openat2(dir, name, how)
		// EAGAIN: a rename elsewhere made the kernel unsure of "..".
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return fd, err
		}
	}
}

// Done is closed when the container has ended, be it by Kill or because its init
// was killed for want of memory.
func (c *Container) Done() <-chan struct{} { return c.init.done }

// over reports whether the container's init is ending, or has ended: nothing can
// be started any more.
func (c *Container) over() bool {
	select {
	case <-c.init.done:
		return true
	default:
		// What ends has no root any more.
		_, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(c.init.agentPID), "root"))
		return err != nil
	}
}

// Kill ends all processes of the container and waits until they are gone. It may
// be called more than once.
func (c *Container) Kill() {
	if c.init != nil {
		// The kernel ends all processes of a PID namespace with its init. One
		// that has ended can't be signalled.
		_ = c.init.Signal(unix.SIGKILL)
		<-c.init.done
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.killed {
		return
	}
	c.killed = true
	close(c.programs)
	c.children.Wait()
	for _, f := range []*os.File{c.initFD, c.root, c.null, c.pts} {
		if f != nil {
			f.Close()
		}
	}
	if c.cgroups != nil {
		c.cgroups.close()
	}
}

func internal(op string, err error) error {
	return &protocol.Error{Kind: protocol.KindInternal, Op: op, Err: err}
}

func stopped(op string) error {
	return &protocol.Error{
		Kind: protocol.KindStopped, Op: op,
		Hint: "the container has ended; start the box again",
		Err:  errors.New("the container is not running"),
	}
}
