package jail

import (
	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// shimCalls is what a shim may do once it has started its VMM: a Go program that
// serves connections on sockets that it has, and writes files in one folder.
func shimCalls(pid int) calls {
	return calls{
		always: []string{
			// Connections and files.
			"read", "write", "close", "fcntl", "accept4", "getsockname", "epoll_pwait", "epoll_ctl",
			"openat", "newfstatat", "pwrite64", "ftruncate", "fsync", "renameat", "unlinkat",
			// Go's runtime.
			"futex", "nanosleep", "exit_group",
			// The VMM: ended, and awaited.
			"pidfd_send_signal",
		},
		rarely: map[string]string{
			"getpid":            "Go's runtime interrupts a thread",
			"rt_sigreturn":      "Go's runtime interrupts a thread",
			"sched_yield":       "Go's runtime waits for another thread",
			"gettid":            "a new thread",
			"sigaltstack":       "a new thread",
			"rt_sigprocmask":    "a new thread",
			"mmap":              "a new thread, or more memory",
			"waitid":            "the VMM's end, which is waited for from the start",
			"madvise":           "memory that goes back to the host",
			"rt_sigaction":      "signals that are caught no more",
			"sendmsg":           "our own VMM is given its end of a stream",
			"shutdown":          "a client that closes one direction of a connection",
			"getpeername":       "a connection's address, in errors",
			"getsockopt":        "errors of a connection",
			"munmap":            "memory that goes back to the host",
			"exit":              "a thread that ends",
			"writev":            "several buffers at once",
			"fchmod":            "file modes, where openat's are masked",
			"fstat":             "a file's size",
			"lseek":             "files that are read again",
			"pread64":           "counters of a cgroup",
			"getrandom":         "random numbers, where the vDSO has none",
			"clock_gettime":     "hosts whose clock the vDSO can't read",
			"restart_syscall":   "after a stop and continuation, as by a debugger",
			"mprotect":          "stacks of threads in programs linked to C",
			"set_robust_list":   "threads in programs linked to C",
			"rseq":              "threads in programs linked to C",
			"brk":               "memory in programs linked to C",
			"sched_getaffinity": "Go's runtime looks whether it got more processors",
			"getdents64":        "a folder that is emptied",
			"rt_sigtimedwait":   "programs linked to C",
			"eventfd2":          "Go's runtime, for its poller",
			"epoll_create1":     "Go's runtime, for its poller",
			"pipe2":             "Go's runtime, on older versions",
			"timer_create":      "profiling",
			"timer_settime":     "profiling",
			"timer_delete":      "profiling",
			"unlink":            "older versions of Go",
			"rename":            "older versions of Go",
			"renameat2":         "renameat where there is none",
		},
		only: []seccomp.NameWithConditions{
			threadsOnly(),
			// Preemption of its own threads.
			with("tgkill", equals(0, uint64(pid))),
			// Limits may be read, not set.
			with("prlimit64", equals(0, 0), equals(2, 0)),
			with("prctl", equals(0, unix.PR_SET_VMA)),
			with("prctl", equals(0, unix.PR_SET_NAME)),
			// Streams to the guest, of which our own VMM is given one end.
			with("socketpair", equals(0, unix.AF_UNIX), equals(1, unix.SOCK_STREAM)),
		},
		absent: []string{"clone3", "openat2", "statx", "close_range", "pidfd_open"},
	}
}
