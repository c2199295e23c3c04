package container

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// InitName is the name of a container's init, which ps shows in the container.
const InitName = "boxlite-init"

// startInit starts PID 1 of the container from the calling thread, whose other
// namespaces are the container's already. Some file systems show the namespaces
// of whoever mounts them, so init mounts these. Then it gives up all it has, and
// becomes a program that does nothing but wait: the kernel reaps orphans for it,
// and drops all signals that come from the container.
func (c *Container) startInit() error {
	image, err := initImage()
	if err != nil {
		return internal("make the container's init", err)
	}
	defer image.Close()
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return internal("start the container's init", err)
	}
	defer null.Close()
	cgroup := -1
	if c.cgroups != nil {
		cgroup = int(c.cgroups.top.Fd())
	}

	p := newProgram(cgroup)
	p.clone.flags |= unix.CLONE_NEWPID
	// The agent is PID 1 of its machine; elsewhere, init must not outlive it.
	p.add("bind init to the agent", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL))
	p.add("start a session", unix.SYS_SETSID)
	// A cgroup namespace begins at the cgroup of the process that makes it.
	p.add("make the cgroup namespace", unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP)
	for _, m := range initMounts {
		if err := p.addMount(m); err != nil {
			return err
		}
	}
	for fd := range uintptr(3) {
		p.add("detach init", unix.SYS_DUP3, null.Fd(), fd, 0)
	}
	const imageFD = 3
	p.add("keep init's program", unix.SYS_DUP3, image.Fd(), imageFD, unix.O_CLOEXEC)
	p.add("close files", unix.SYS_CLOSE_RANGE, imageFD+1, ^uintptr(0)>>32, 0)
	ignore := &sigaction{handler: 1} // SIG_IGN
	p.add("ignore orphans' ends", unix.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD), p.ref(unsafe.Pointer(ignore)), 0, unsafe.Sizeof(ignore.mask))
	// Without this, execve would give user 0 capabilities again.
	p.add("make user 0 powerless", unix.SYS_PRCTL, unix.PR_SET_SECUREBITS, noRoot)
	p.add("drop capabilities", unix.SYS_CAPSET, p.ref(unsafe.Pointer(capHeader())), p.ref(unsafe.Pointer(new(capData))))
	argv, err := syscall.SlicePtrFromStrings([]string{InitName})
	if err != nil {
		return internal("start the container's init", err)
	}
	empty := new(*byte)
	p.add("execute", unix.SYS_EXECVEAT, imageFD, p.ref(unsafe.Pointer(new(byte))),
		p.ref(unsafe.Pointer(&argv[0])), p.ref(unsafe.Pointer(empty)), unix.AT_EMPTY_PATH)

	if p.pid, err = p.start(); err != nil {
		return startError(err)
	}
	pidfd, err := unix.FcntlInt(uintptr(p.pidfd), unix.F_DUPFD_CLOEXEC, 0)
	c.init = newChild(c, p, &stdio{}, nil)
	p.wait()
	if err != nil {
		return internal("start the container's init", err)
	}
	c.initFD = os.NewFile(uintptr(pidfd), "init")
	if stage, err := p.failed(); err != nil {
		return internal(stage, err)
	}
	if c.cgroups != nil {
		if err := c.cgroups.split(p.pid); err != nil {
			return internal("make the container's cgroups", err)
		}
	}
	return nil
}

// noRoot are the secure bits SECBIT_NOROOT and SECBIT_NOROOT_LOCKED.
const noRoot = 1<<0 | 1<<1

// sigaction is the kernel's struct of that name.
type sigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

// addMount appends the mount of a file system.
func (p *program) addMount(m mount) error {
	texts, err := syscall.SlicePtrFromStrings([]string{m.source, m.target, m.fstype})
	if err != nil {
		return err
	}
	p.add("mount "+m.target, unix.SYS_MOUNT, p.ref(unsafe.Pointer(texts[0])), p.ref(unsafe.Pointer(texts[1])),
		p.ref(unsafe.Pointer(texts[2])), m.flags, 0)
	return nil
}

// initImage returns a file in memory with the program that init executes: an ELF
// header, one loadable segment, and initCode.
func initImage() (*os.File, error) {
	const (
		base       = 0x400000
		headerSize = 64 + 56
		size       = headerSize + len(initCode) + len(InitName) + 1
	)
	le := binary.LittleEndian
	elf := []byte{
		0x7f, 'E', 'L', 'F', 2 /* 64 bits */, 1 /* little-endian */, 1 /* version */, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	}
	elf = le.AppendUint16(elf, 2) // ET_EXEC
	elf = le.AppendUint16(elf, elfMachine)
	elf = le.AppendUint32(elf, 1)
	elf = le.AppendUint64(elf, base+headerSize) // entry
	elf = le.AppendUint64(elf, 64)              // program headers
	elf = le.AppendUint64(elf, 0)               // no section headers
	elf = le.AppendUint32(elf, 0)
	for _, n := range []uint16{64, 56, 1, 0, 0, 0} {
		elf = le.AppendUint16(elf, n)
	}
	elf = le.AppendUint32(elf, 1) // PT_LOAD
	elf = le.AppendUint32(elf, 5) // readable, executable
	for _, n := range []uint64{0, base, base, uint64(size), uint64(size), 0x1000} {
		elf = le.AppendUint64(elf, n)
	}
	elf = append(elf, initCode...)
	elf = append(elf, InitName+"\x00"...)

	// Linux 6.3 and later want to be told that it is for execution; before that,
	// it always was, and the flag is unknown.
	fd, err := unix.MemfdCreate(InitName, unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(InitName, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), InitName)
	if _, err := f.Write(elf); err != nil {
		f.Close()
		return nil, fmt.Errorf("write init: %w", err)
	}
	return f, nil
}
