package jail

import (
	"slices"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// qemuCalls is what QEMU may do, linked to glibc or musl.
func qemuCalls(pid int) calls {
	return calls{
		always: []string{
			// Descriptors that it has been given.
			"read", "write", "writev", "pread64", "pwrite64", "preadv", "pwritev",
			"close", "lseek", "newfstatat", "fcntl", "fdatasync", "fallocate",
			"recvmsg", "sendmsg", "getsockopt", "setsockopt", "getsockname", "getpeername",
			// Its own files: libraries, firmware, kernel and initrd.
			"openat", "access", "readlink", "statfs",
			// Memory.
			"mmap", "munmap", "mprotect", "madvise", "brk", "memfd_create",
			// Threads, and waiting.
			"futex", "set_robust_list", "rseq", "set_tid_address", "sched_getaffinity", "gettid",
			"ppoll", "poll", "clock_nanosleep", "eventfd2", "signalfd4",
			"rt_sigaction", "rt_sigprocmask",
			// The process.
			"getrandom", "sysinfo", "exit_group", "arch_prctl",
			// Its own sandbox, on top of this one.
			"seccomp",
		},
		rarely: map[string]string{
			"exit":            "a thread that has had nothing to do for a while",
			"readv":           "disks, with older builds",
			"fstat":           "newer C libraries, for newfstatat",
			"getpid":          "libraries that ask who they are",
			"rt_sigreturn":    "after a signal, such as one that stops a virtual CPU",
			"restart_syscall": "after a stop and continuation, as by a debugger",
			"sigaltstack":     "coroutines that are built on signal stacks",
			"ioctl":           "KVM; terminals are asked for with it too",
			"ftruncate":       "shrinks memfd files when they are probed",
			"mremap":          "realloc of large blocks",
			"fsync":           "flush on file systems without fdatasync",
			"nanosleep":       "older C libraries, for clock_nanosleep",
			"clock_gettime":   "hosts whose clock the vDSO can't read",
			"clock_getres":    "hosts whose clock the vDSO can't read",
			"gettimeofday":    "hosts whose clock the vDSO can't read",
			"time":            "hosts whose clock the vDSO can't read",
			"sched_yield":     "spinning, if the virtual CPUs outnumber the processors",
			"timerfd_create":  "some builds' clocks",
			"timerfd_settime": "some builds' clocks",
			"epoll_create1":   "many descriptors at once",
			"epoll_ctl":       "many descriptors at once",
			"epoll_wait":      "many descriptors at once",
			"epoll_pwait":     "many descriptors at once",
			"epoll_pwait2":    "many descriptors at once",
			"pipe2":           "kernels without eventfd",
			"recvfrom":        "musl's recv",
			"sendto":          "musl's send",
			"shutdown":        "the end of a connection",
			"dup":             "builds that don't use dup3",
			"open":            "musl, for openat",
			"stat":            "musl and older C libraries, for newfstatat",
			"lstat":           "musl and older C libraries, for newfstatat",
			"statx":           "newer C libraries, for newfstatat",
			"readlinkat":      "readlink where there is none",
			"faccessat":       "access where there is none",
			"faccessat2":      "access in newer C libraries",
			"preadv2":         "newer builds, for preadv",
			"pwritev2":        "newer builds, for pwritev",
			"copy_file_range": "offloaded copies on a disk",
			"uname":           "libraries that ask for the kernel's release",
			"getuid":          "libraries that ask who they are",
			"geteuid":         "libraries that ask who they are",
			"getgid":          "libraries that ask who they are",
			"getegid":         "libraries that ask who they are",
			"getcwd":          "builds that look for themselves",
			"getrusage":       "statistics",
			"membarrier":      "newer builds, for cheap barriers",
			"sync_file_range": "flush",
			"rt_sigtimedwait": "builds that wait for signals",
			"rt_sigpending":   "KVM: whether a stop is on its way",
			"set_mempolicy":   "libnuma looks whether it works",
			"get_mempolicy":   "libnuma looks whether it works",
			"mbind":           "libnuma",
			"fadvise64":       "read-ahead",
		},
		only: slices.Concat([]seccomp.NameWithConditions{
			threadsOnly(),
			// Signals to its own threads, abort included.
			with("tgkill", equals(0, uint64(pid))),
			// Limits may be read, not set.
			with("prlimit64", equals(0, 0), equals(2, 0)),
			// Becoming the program, once: the descriptor is closed by it.
			with("execveat", equals(0, fdProgram), equals(4, unix.AT_EMPTY_PATH)),
		}, anyOf("prctl", 0,
			unix.PR_SET_NAME, unix.PR_GET_NAME, unix.PR_SET_TIMERSLACK, unix.PR_MCE_KILL,
			unix.PR_SET_NO_NEW_PRIVS, unix.PR_GET_NO_NEW_PRIVS, unix.PR_CAPBSET_READ, unix.PR_SET_VMA,
		)),
		absent: []string{
			"clone3", // its flags are in memory, where no filter can see them
			"io_uring_setup", "userfaultfd", "openat2", "close_range", "futex_waitv",
		},
	}
}
