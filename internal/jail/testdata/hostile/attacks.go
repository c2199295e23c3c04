package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attack is one way out, or a way to take more than was given. try returns nil if it
// succeeds.
type attack struct {
	name string
	try  func(task) error
	// lethal attacks may end the process.
	lethal bool
}

var attacks = []attack{
	{name: "read a system file", try: func(task) error { return read("/etc/passwd") }},
	{name: "read the user's file", try: func(t task) error { return read(t.UserFile) }},
	{name: "read another box's disk", try: func(t task) error { return read(t.OtherDisk) }},
	{name: "read another image", try: func(t task) error { return read(t.OtherImage) }},
	{name: "list the home", try: func(t task) error { _, err := os.ReadDir(t.Home); return err }},
	{name: "list processes", try: func(task) error { _, err := os.ReadDir("/proc"); return err }},
	{name: "write to the user's file", try: func(t task) error { return write(t.UserFile) }},
	{name: "write to another box's disk", try: func(t task) error { return write(t.OtherDisk) }},
	{name: "make a file in /tmp", try: func(task) error { return create(filepath.Join(os.TempDir(), "hostile")) }},
	{name: "make a file in the root", try: func(task) error { return create("/hostile") }},
	{name: "remove the user's file", try: func(t task) error { return os.Remove(t.UserFile) }},
	{name: "change the user's file's mode", try: func(t task) error { return os.Chmod(t.UserFile, 0o666) }},
	{name: "link to the user's file", try: func(t task) error { return os.Link(t.UserFile, t.UserFile+".link") }},

	{name: "execute a shell", try: func(task) error { return start("/bin/sh", "-c", "exit") }},
	{name: "execute a file in memory", try: executeMemory},
	{name: "start processes without end", try: startProcesses},

	{name: "make a socket", try: makeSocket},
	{name: "make a raw socket", try: func(task) error {
		return closeFD(unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP))
	}},
	{name: "make a packet socket", try: func(task) error {
		return closeFD(unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0))
	}},
	{name: "make a netlink socket", try: func(task) error {
		return closeFD(unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE))
	}},
	{name: "connect to a TCP port of the host", try: func(t task) error { return connect("tcp", fmt.Sprintf("127.0.0.1:%d", t.TCP)) }},
	{name: "send to a UDP port of the host", try: sendUDP},
	{name: "connect to a Unix socket of the host", try: func(t task) error { return connect("unix", t.Socket) }},
	{name: "connect to an abstract socket of the host", try: func(t task) error { return connect("unix", "@"+t.Abstract) }},
	{name: "listen on a TCP port", try: listen},

	{name: "signal a host process", try: func(t task) error { return unix.Kill(t.Process, 0) }},
	{name: "trace a host process", try: func(t task) error { return traceProcess(t.Process) }},
	{name: "read a host process's memory", try: func(t task) error { return readMemory(t.Process) }},
	{name: "open a host process", try: func(t task) error { return closeFD(unix.PidfdOpen(t.Process, 0)) }},
	{name: "read a host process's environment", try: func(t task) error { return read(fmt.Sprintf("/proc/%d/environ", t.Process)) }},

	{name: "mount", try: func(task) error { return unix.Mount("none", "/", "tmpfs", 0, "") }},
	{name: "unmount", try: func(task) error { return unix.Unmount("/", unix.MNT_DETACH) }},
	{name: "make a namespace", try: func(task) error { return unix.Unshare(unix.CLONE_NEWUTS) }},
	{name: "change the root", try: func(task) error { return unix.Chroot("/") }},
	{name: "make a device", try: func(task) error { return unix.Mknod("/tmp/mem", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 1))) }},
	{name: "open /dev/mem", try: func(task) error { return read("/dev/mem") }},
	{name: "open the kernel's log", try: func(task) error { return read("/dev/kmsg") }},
	{name: "load BPF", try: loadBPF},
	{name: "open a performance counter", try: openCounter},
	{name: "make an io_uring", try: func(task) error { return raw(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(new([120]byte)))) }},
	{name: "add a key", try: addKey},
	{name: "load a kernel module", try: func(task) error { return allowed(raw(unix.SYS_INIT_MODULE, 0, 0, 0)) }},
	{name: "set the clock", try: setClock},
	{name: "become another user", try: func(task) error { return raw(unix.SYS_SETRESUID, 12345, 12345, 12345) }},
	{name: "raise a limit", try: func(task) error { return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1}) }},
	{name: "call a forbidden system call", try: callForbidden},

	{name: "open files without end", try: openFiles},
	{name: "make a file too large", try: enlarge},
	{name: "reserve addresses without end", try: reserve},
	{name: "fill memory without end", try: fillMemory, lethal: true},
}

func raw(number uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := syscall.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		return errno
	}
	return nil
}

// allowed takes any error but that of a lack of rights for a success: the kernel has
// looked at the arguments.
func allowed(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSYS) {
		return err
	}
	return nil
}

func closeFD(fd int, err error) error {
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

func read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Read(make([]byte, 1))
	return err
}

func write(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

func create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(path))
}

func start(args ...string) error {
	p, err := os.StartProcess(args[0], args, &os.ProcAttr{})
	if err != nil {
		return err
	}
	_, err = p.Wait()
	return err
}

// executeMemory runs a copy of this program that no file system holds.
func executeMemory(task) error {
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("program", 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, self); err != nil {
		return err
	}
	return start(fmt.Sprintf("/proc/self/fd/%d", fd), "{}")
}

func startProcesses(t task) error {
	var started []*os.Process
	defer func() {
		for _, p := range started {
			_ = p.Kill()
			_, _ = p.Wait()
		}
	}()
	for len(started) <= t.Limits.Threads {
		p, err := os.StartProcess(os.Args[0], []string{os.Args[0], "idle"}, &os.ProcAttr{})
		if err != nil {
			return err
		}
		started = append(started, p)
	}
	return nil
}

func makeSocket(task) error {
	err := error(unix.EPERM)
	for family := range 48 {
		for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW} {
			fd, e := unix.Socket(family, kind, 0)
			if e == nil {
				_ = unix.Close(fd)
				err = nil
			}
		}
	}
	return err
}

func connect(network, address string) error {
	conn, err := net.Dial(network, address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// sendUDP succeeds if there is an answer.
func sendUDP(t task) error {
	conn, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", t.UDP))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("?")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1)) // refused, where there is nobody
	return err
}

func listen(task) error {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4zero})
	if err != nil {
		return err
	}
	return l.Close()
}

func traceProcess(pid int) error {
	if err := raw(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, 0); err != nil {
		return err
	}
	return raw(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(pid), 0, 0)
}

func readMemory(pid int) error {
	local := make([]byte, 1)
	_, err := unix.ProcessVMReadv(pid, []unix.Iovec{{Base: &local[0], Len: 1}}, []unix.RemoteIovec{{Base: 0x400000, Len: 1}}, 0)
	if errors.Is(err, unix.EFAULT) {
		return nil // it was let in
	}
	return err
}

func loadBPF(task) error {
	attr := make([]byte, 128)
	attr[0] = 2 // an array: key 4, value 4, 1 entry
	attr[4], attr[8], attr[12] = 4, 4, 1
	return allowed(raw(unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&attr[0])), uintptr(len(attr))))
}

func openCounter(task) error {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{}))}
	return closeFD(unix.PerfEventOpen(&attr, -1, 0, -1, 0))
}

// setClock sets it to what it is.
func setClock(task) error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
		return err
	}
	return raw(unix.SYS_CLOCK_SETTIME, unix.CLOCK_REALTIME, uintptr(unsafe.Pointer(&now)))
}

func addKey(task) error {
	_, err := unix.AddKey("user", "hostile", []byte("x"), unix.KEY_SPEC_PROCESS_KEYRING)
	return err
}

// callForbidden makes every system call that should not get through, with arguments
// that mean nothing.
func callForbidden(t task) error {
	err := error(unix.EPERM)
	for _, number := range t.Forbidden {
		none := ^uintptr(0)
		if e := raw(number, none, none, none, none, none, none); allowed(e) == nil {
			fmt.Fprintf(os.NewFile(3, "report"), "system call %d: %v\n", number, e)
			err = nil
		}
	}
	return err
}

func openFiles(task) error {
	var fds []int
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	for range 100_000 {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return err
		}
		fds = append(fds, fd)
	}
	return nil
}

// enlarge writes beyond the limit of its disk, which is descriptor 4.
func enlarge(t task) error {
	signalIgnore()
	_, err := unix.Pwrite(4, []byte("x"), t.Limits.FileBytes+1)
	return err
}

func reserve(t task) error {
	size := uintptr(2*t.Limits.MemoryBytes) + 16<<30
	_, _, errno := syscall.RawSyscall6(unix.SYS_MMAP, 0, size, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE, ^uintptr(0), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func fillMemory(t task) error {
	memory := make([]byte, 3*t.Limits.MemoryBytes)
	for i := 0; i < len(memory); i += 4096 {
		memory[i] = 1
	}
	return nil
}
