package container

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestNamespaces(t *testing.T) {
	c := newContainer(t, Config{Hostname: "capsule"})
	for _, ns := range []string{"mnt", "pid", "ipc", "uts", "cgroup", "net", "user", "time"} {
		own, err := os.Readlink("/proc/self/ns/" + ns)
		mustDo(t, err)
		of := sh(t, c, "readlink /proc/self/ns/"+ns)
		shared := slices.Contains([]string{"net", "user", "time"}, ns)
		if (of == own) != shared {
			t.Errorf("%s: the container has %s, the agent %s", ns, of, own)
		}
	}
	if got := sh(t, c, "hostname; cat /etc/hostname"); got != "capsule\ncapsule" {
		t.Errorf("hostname %q", got)
	}
	if name, err := os.Hostname(); err != nil || name == "capsule" {
		t.Errorf("the agent's hostname became %s, %v", name, err)
	}
}

func TestMounts(t *testing.T) {
	root := newRoot(t)
	writeFile(t, root, "etc/hosts", "the image's\n")
	c := newContainer(t, Config{Root: root, Hosts: []byte("1.2.3.4 five\n"), ResolvConf: []byte("nameserver 6.7.8.9\n")})
	mounts := sh(t, c, "cat /proc/mounts")
	for _, want := range []string{
		"proc /proc proc rw,nosuid,nodev,noexec,",
		"tmpfs /dev tmpfs rw,nosuid,",
		"devpts /dev/pts devpts rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666 ",
		"mqueue /dev/mqueue mqueue rw,nosuid,nodev,noexec,",
		"shm /dev/shm tmpfs rw,nosuid,nodev,noexec,",
		"sysfs /sys sysfs ro,nosuid,nodev,noexec,",
		"cgroup /sys/fs/cgroup cgroup2 ro,nosuid,nodev,noexec,",
		"proc /proc/sys proc ro,nosuid,nodev,noexec,",
		"etc /etc/hosts tmpfs rw,nosuid,nodev,noexec,",
	} {
		if !strings.Contains("\n"+mounts, "\n"+want) {
			t.Errorf("no mount %q in\n%s", want, mounts)
		}
	}
	for _, test := range []struct{ script, want string }{
		{"cat /etc/hosts /etc/resolv.conf", "1.2.3.4 five\nnameserver 6.7.8.9"},
		{"echo changed > /etc/hosts; cat /etc/hosts", "changed"},
		{"stat -c %a /dev /dev/shm /dev/mqueue", "755\n1777\n1777"},
		{
			"cd /dev; stat -c %F:%t:%T:%a null zero full tty",
			"character special file:1:3:666\ncharacter special file:1:5:666\n" +
				"character special file:1:7:666\ncharacter special file:5:0:666",
		},
		{"head -c 2 /dev/zero | od -An -tx1; echo x > /dev/null", "00 00"},
		{"head -c 16 /dev/random | wc -c; head -c 9 /dev/urandom | wc -c", "16\n9"},
		{"readlink /dev/fd; readlink /dev/stdin; readlink /dev/ptmx", "/proc/self/fd\n/proc/self/fd/0\npts/ptmx"},
		{"cat /proc/keys /proc/timer_list; ls /sys/firmware", ""},
		{"umask", "0022"},
	} {
		if got := sh(t, c, test.script); got != test.want {
			t.Errorf("%s: got %q, want %q", test.script, got, test.want)
		}
	}
	for _, script := range []string{
		"echo 1 > /proc/sys/kernel/panic", "echo b > /proc/sysrq-trigger", "touch /sys/x", "mkdir /sys/fs/cgroup/x",
		"echo x > /proc/sys/kernel/core_pattern", "mount -t tmpfs x /tmp", "umount /proc/sys", "mount -o remount,rw /sys",
		"echo $$ > /sys/fs/cgroup/cgroup.procs",
	} {
		if r := runProcess(t, c, Process{Args: []string{"sh", "-c", script}}); r.status.Code == 0 {
			t.Errorf("%s succeeded", script)
		}
	}
	c.Kill()
	if b, err := os.ReadFile(root + "/etc/hosts"); err != nil || string(b) != "the image's\n" {
		t.Errorf("the image's file became %q, %v", b, err)
	}
	if mounted, err := os.ReadFile("/proc/self/mounts"); err != nil || strings.Contains(string(mounted), root) {
		t.Errorf("a mount of the container is in the agent's namespace, or %v", err)
	}
}

func TestStatus(t *testing.T) {
	c := newContainer(t, Config{})
	const none, docker = "0000000000000000", "00000000a80425fb"
	for user, effective := range map[string]string{"root": docker, "ada": none} {
		r := runProcess(t, c, Process{Args: []string{"cat", "/proc/self/status"}, User: user})
		for _, want := range []string{
			"CapInh:\t" + none, "CapPrm:\t" + effective, "CapEff:\t" + effective, "CapBnd:\t" + docker, "CapAmb:\t" + none,
			"Seccomp:\t2", "NoNewPrivs:\t0", "SigBlk:\t" + none, "SigIgn:\t" + none, "Umask:\t0022",
		} {
			if !strings.Contains(r.stdout, want+"\n") {
				t.Errorf("%s: no %q in\n%s", user, want, r.stdout)
			}
		}
	}
	if got := sh(t, c, "ulimit -Sn; ulimit -c"); got != "1024\n0" {
		t.Errorf("limits %q", got)
	}
	init := sh(t, c, "cat /proc/1/status")
	for _, want := range []string{"Name:\t" + InitName, "CapPrm:\t" + none, "CapEff:\t" + none} {
		if !strings.Contains(init, want+"\n") {
			t.Errorf("init: no %q in\n%s", want, init)
		}
	}
}

// systemCall is one that a process tries before it executes its command, under all
// the restrictions of the command.
type systemCall struct {
	name   string
	number uintptr
	args   []uintptr
	// want is the error; 0 stands for success or any error but EPERM and ENOSYS,
	// as nothing then refused the call as such.
	want unix.Errno
}

// trySystemCalls runs a process of the user that makes the calls.
func trySystemCalls(t *testing.T, c *Container, user string, calls []systemCall) {
	t.Helper()
	l, err := c.prepare(Process{Args: []string{"true"}, User: user})
	mustDo(t, err)
	defer l.close()
	p, err := l.program(c)
	mustDo(t, err)
	execs := slices.IndexFunc(p.calls, func(c call) bool { return c.number == unix.SYS_EXECVE })
	rest := slices.Clone(p.calls[execs:])
	p.calls = p.calls[:execs]
	for _, s := range calls {
		p.addTolerant(s.name, ^uint64(0), s.number, s.args...)
	}
	p.calls = append(p.calls, rest...)
	c.programs <- p
	<-p.started
	mustDo(t, p.err)
	child := newChild(c, p, l.stdio, nil)
	p.wait()
	child.Wait()
	for i, s := range calls {
		result := p.calls[execs+i].result
		refused := result == -int64(unix.EPERM) || result == -int64(unix.ENOSYS)
		if s.want == 0 && refused || s.want != 0 && result != -int64(s.want) {
			t.Errorf("%s: %s gave %d, want error %d", user, s.name, result, s.want)
		}
	}
}

func TestSystemCalls(t *testing.T) {
	c := newContainer(t, Config{})
	var buf [64]byte
	at := func(b []byte) uintptr { return uintptr(unsafe.Pointer(&b[0])) }
	path := []byte("/tmp\x00")
	trySystemCalls(t, c, "root", []systemCall{
		{"unshare(mnt)", unix.SYS_UNSHARE, []uintptr{unix.CLONE_NEWNS}, unix.EPERM},
		{"unshare(user)", unix.SYS_UNSHARE, []uintptr{unix.CLONE_NEWUSER}, unix.EPERM},
		{"setns", unix.SYS_SETNS, []uintptr{0, 0}, unix.EPERM},
		{"clone3", unix.SYS_CLONE3, []uintptr{at(buf[:]), 64}, unix.ENOSYS},
		{"clone(user)", unix.SYS_CLONE, []uintptr{unix.CLONE_NEWUSER}, unix.EPERM},
		{"mount", unix.SYS_MOUNT, []uintptr{at(path), at(path), 0, unix.MS_BIND, 0}, unix.EPERM},
		{"umount2", unix.SYS_UMOUNT2, []uintptr{at(path), 0}, unix.EPERM},
		{"pivot_root", unix.SYS_PIVOT_ROOT, []uintptr{at(path), at(path)}, unix.EPERM},
		{"keyctl", unix.SYS_KEYCTL, []uintptr{0, 0}, unix.EPERM},
		{"add_key", unix.SYS_ADD_KEY, nil, unix.EPERM},
		{"bpf", unix.SYS_BPF, nil, unix.EPERM},
		{"perf_event_open", unix.SYS_PERF_EVENT_OPEN, nil, unix.EPERM},
		{"io_uring_setup", unix.SYS_IO_URING_SETUP, []uintptr{1, 0}, unix.EPERM},
		{"userfaultfd", unix.SYS_USERFAULTFD, nil, unix.EPERM},
		{"open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, nil, unix.EPERM},
		{"init_module", unix.SYS_INIT_MODULE, nil, unix.EPERM},
		{"kexec_load", unix.SYS_KEXEC_LOAD, nil, unix.EPERM},
		{"reboot", unix.SYS_REBOOT, nil, unix.EPERM},
		{"swapon", unix.SYS_SWAPON, nil, unix.EPERM},
		{"sethostname", unix.SYS_SETHOSTNAME, []uintptr{at(path), 4}, unix.EPERM},
		{"settimeofday", unix.SYS_SETTIMEOFDAY, nil, unix.EPERM},
		{"syslog", unix.SYS_SYSLOG, []uintptr{10}, unix.EPERM},
		{"personality(no randomization)", unix.SYS_PERSONALITY, []uintptr{0x40000}, unix.EPERM},
		{"socket(vsock)", unix.SYS_SOCKET, []uintptr{unix.AF_VSOCK, unix.SOCK_STREAM, 0}, unix.EPERM},
		{"socket(alg)", unix.SYS_SOCKET, []uintptr{unix.AF_ALG, unix.SOCK_SEQPACKET, 0}, unix.EPERM},
		{"a call of the future", 5000, nil, unix.ENOSYS},

		{"socket(inet)", unix.SYS_SOCKET, []uintptr{unix.AF_INET, unix.SOCK_STREAM, 0}, 0},
		{"socket(raw)", unix.SYS_SOCKET, []uintptr{unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP}, 0},
		{"socket(packet)", unix.SYS_SOCKET, []uintptr{unix.AF_PACKET, unix.SOCK_RAW, 0}, 0},
		{"personality(query)", unix.SYS_PERSONALITY, []uintptr{0xffffffff}, 0},
		{"ptrace", unix.SYS_PTRACE, []uintptr{unix.PTRACE_PEEKDATA, 0, 0, 0}, 0},
		{"chroot", unix.SYS_CHROOT, []uintptr{at(path)}, 0},
	})
	trySystemCalls(t, c, "ada", []systemCall{
		{"socket(raw)", unix.SYS_SOCKET, []uintptr{unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP}, unix.EPERM},
		{"chroot", unix.SYS_CHROOT, []uintptr{at(path)}, unix.EPERM},
		{"setuid(0)", unix.SYS_SETUID, []uintptr{0}, unix.EPERM},
		{"setgid(0)", unix.SYS_SETGID, []uintptr{0}, unix.EPERM},
	})
}

// TestDevices: nodes can be made, as in Docker, but those of the guest's disks and
// console can't be opened.
func TestDevices(t *testing.T) {
	t.Run("default", func(t *testing.T) { testDevices(t, Config{}) })
	t.Run("all capabilities", func(t *testing.T) { testDevices(t, Config{Capabilities: all(t)}) })
}

func testDevices(t *testing.T, config Config) {
	config.Cgroup = newCgroup(t)
	c := newContainer(t, config)
	sh(t, c, "cd /tmp; mknod disk b 254 0; mknod mem c 1 1; mknod console c 5 1; mknod kmsg c 1 11; mknod null c 1 3; mknod zero b 1 5")
	sh(t, c, "echo x > /tmp/null; dd if=/dev/zero of=/dev/null count=1; head -c 1 /dev/urandom; ls -l /dev/pts/ptmx")
	for _, open := range []string{"</tmp/disk", "</tmp/mem", ">/tmp/console", "</tmp/kmsg", "</tmp/zero"} {
		r := runProcess(t, c, Process{Args: []string{"sh", "-c", ": " + open}})
		if r.status.Code == 0 || !strings.Contains(r.stderr, "Operation not permitted") {
			t.Errorf("%s: got %+v", open, r)
		}
	}
	r := runProcess(t, c, Process{Args: []string{"sh", "-c", "echo >/dev/tty && echo ok"}, TTY: true})
	if !strings.Contains(r.stdout, "ok") {
		t.Errorf("terminal: got %+v", r)
	}
}

func TestCgroup(t *testing.T) {
	cgroup := newCgroup(t)
	c := newContainer(t, Config{Cgroup: cgroup})
	// A process is born below the cgroup, which is the root of all that it sees.
	if got := sh(t, c, "grep ^0: /proc/self/cgroup; grep ^0: /proc/1/cgroup"); got != "0::/all\n0::/all" {
		t.Errorf("got %q", got)
	}
	child, err := c.Spawn(Process{Args: []string{"cat"}, Stdin: true})
	mustDo(t, err)
	procs, err := os.ReadFile(cgroup + "/all/cgroup.procs")
	mustDo(t, err)
	if !slices.Contains(strings.Fields(string(procs)), strconv.Itoa(child.agentPID)) {
		t.Errorf("%d is not in %q", child.agentPID, procs)
	}
	child.Stdin.Close()
	collect(t, child)
}

// TestAgentIsOutOfReach looks from the container at a process that is about to
// execute its command, and still shares the memory of the test.
func TestAgentIsOutOfReach(t *testing.T) {
	t.Run("default", func(t *testing.T) { testAgentIsOutOfReach(t, Config{}) })
	t.Run("all capabilities", func(t *testing.T) { testAgentIsOutOfReach(t, Config{Capabilities: all(t)}) })
}

func testAgentIsOutOfReach(t *testing.T, config Config) {
	c := newContainer(t, config)
	l, err := c.prepare(Process{Args: []string{"true"}, Stdin: true})
	mustDo(t, err)
	defer l.close()
	p, err := l.program(c)
	mustDo(t, err)
	execs := slices.IndexFunc(p.calls, func(c call) bool { return c.number == unix.SYS_EXECVE })
	rest := slices.Clone(p.calls[execs:])
	buf := new(byte)
	p.calls = p.calls[:execs]
	p.add("wait", unix.SYS_READ, 0, p.ref(unsafe.Pointer(buf)), 1)
	p.calls = append(p.calls, rest...)
	c.programs <- p
	<-p.started
	mustDo(t, p.err)
	child := newChild(c, p, l.stdio, nil)

	pid := sh(t, c, `cd /proc; for p in [0-9]*; do grep -q "NSpid.*"$'\t'$p $p/status && echo $p; done | sort -n | head -2 | tail -1`)
	for _, pid := range []string{"1", pid} {
		for _, look := range []string{
			"readlink exe", "cat environ | grep .", "cat maps | grep .", "head -c 1 mem", "readlink fd/0", "readlink cwd", "ls root/",
			"cat stack", "cat syscall", "cat auxv | grep .", "readlink ns/mnt", "ls map_files/ | grep .", "echo x > mem", "cat io",
		} {
			r := runProcess(t, c, Process{Args: []string{"sh", "-c", "cd /proc/" + pid + " && { " + look + "; }"}})
			if r.status.Code == 0 {
				t.Errorf("process %s: %s gave %q", pid, look, r.stdout)
			}
		}
		number, err := strconv.Atoi(pid)
		mustDo(t, err)
		trySystemCalls(t, c, "root", []systemCall{
			{"ptrace(attach)", unix.SYS_PTRACE, []uintptr{unix.PTRACE_ATTACH, uintptr(number), 0, 0}, unix.EPERM},
			{"ptrace(seize)", unix.SYS_PTRACE, []uintptr{unix.PTRACE_SEIZE, uintptr(number), 0, 0}, unix.EPERM},
		})
	}
	iov := p.ref(unsafe.Pointer(&unix.Iovec{Base: buf, Len: 1}))
	trySystemCalls(t, c, "root", []systemCall{
		{"process_vm_readv", unix.SYS_PROCESS_VM_READV, []uintptr{1, iov, 1, iov, 1, 0}, unix.EPERM},
	})
	l.stdio.agent[0].Close()
	p.wait()
	if status := child.Wait(); status.Code != 0 {
		t.Errorf("the process ended with %+v", status)
	}
}

// TestInitIgnoresSignals: root in the container can't end the container by
// signals to its init.
func TestInitIgnoresSignals(t *testing.T) {
	c := newContainer(t, Config{})
	for sig := 1; sig <= 64; sig++ {
		sh(t, c, fmt.Sprintf("kill -%d 1", sig))
	}
	sh(t, c, "kill -KILL 1; kill -STOP 1; ls /proc/1")
	if state := sh(t, c, "grep State /proc/1/status"); !strings.Contains(state, "S (sleeping)") {
		t.Errorf("init: %s", state)
	}
}
