package jail

import (
	"maps"
	"slices"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// vmmCalls is what our own VMM may do: a Go program that starts, sets up a machine on
// descriptors that it has inherited, and runs it. It opens no file, makes no socket and
// starts no program.
func vmmCalls(pid int) calls {
	c := vmmRunningCalls(pid)
	c.always = append(slices.Clone(c.always),
		// The start of a Go program.
		"arch_prctl",
		// The guest's memory.
		"memfd_create", "ftruncate",
	)
	rarely := maps.Clone(c.rarely)
	for name, why := range map[string]string{
		"set_tid_address": "the start of a program linked to C",
		"rt_sigtimedwait": "programs linked to C",
		"openat":          "loader and libraries of a program linked to C",
		"readlink":        "the loader of a program linked to C",
		"access":          "the loader of a program linked to C",
		"open":            "the loader of a program linked to musl",
		"uname":           "libraries that ask for the kernel's release",
	} {
		rarely[name] = why
	}
	c.rarely = rarely
	c.only = slices.Concat(c.only,
		anyOf("ioctl", 1, setupRequests...),
		[]seccomp.NameWithConditions{
			// Becoming the program, once: the descriptor is closed by it.
			with("execveat", equals(0, fdProgram), equals(4, unix.AT_EMPTY_PATH)),
		},
	)
	return c
}

// vmmRunningCalls is what is left when the machine has been set up: disks, sockets and
// the guest's memory are there, and its processors are made.
func vmmRunningCalls(pid int) calls {
	return calls{
		always: []string{
			// Disks and streams, control connection and events.
			"read", "write", "preadv2", "pwritev2", "close", "fcntl", "fstat",
			"recvmsg", "getsockopt", "getsockname", "getpeername",
			"eventfd2", "epoll_create1", "epoll_ctl", "epoll_pwait",
			// Memory, also what the guest gives back.
			"mmap", "madvise",
			// Go's runtime.
			"futex", "gettid", "getpid", "rt_sigaction", "rt_sigprocmask", "sigaltstack", "nanosleep", "exit_group",
		},
		rarely: map[string]string{
			"munmap":            "memory that isn't needed any more",
			"rt_sigreturn":      "a processor is stopped, or Go's runtime interrupts a thread",
			"sched_yield":       "Go's runtime waits for another thread",
			"sched_getaffinity": "Go's runtime looks whether it got more processors",
			"exit":              "a thread that ends",
			"readv":             "several buffers at once",
			"writev":            "several buffers at once",
			"pread64":           "kernel and initrd, disks, and a machine that is saved or restored",
			"pwrite64":          "zeroes on a disk, and a machine that is saved or restored",
			"preadv":            "disks",
			"pwritev":           "disks",
			"fdatasync":         "flush",
			"fsync":             "flush on file systems without fdatasync",
			"fallocate":         "blocks that the guest discards",
			"fadvise64":         "read-ahead",
			"lseek":             "kernel and initrd, which are read from their beginning, and holes in memory that is saved or restored",
			"newfstatat":        "older versions of Go, for fstat",
			"recvfrom":          "a look whether a stream has ended",
			"poll":              "a look whether a stream has room",
			"ppoll":             "poll where there is none",
			"sendto":            "a stream of which the other end may be gone",
			"sendmsg":           "several messages at once",
			"sendmmsg":          "several messages at once",
			"recvmmsg":          "several messages at once",
			"shutdown":          "the end of a stream",
			"getrandom":         "random numbers, where the vDSO has none",
			"clock_gettime":     "hosts whose clock the vDSO can't read",
			"clock_nanosleep":   "pauses that are exact",
			"restart_syscall":   "after a stop and continuation, as by a debugger",
			"mprotect":          "stacks of threads in programs linked to C",
			"set_robust_list":   "threads in programs linked to C",
			"rseq":              "threads in programs linked to C",
			"brk":               "memory in programs linked to C",
			"timer_create":      "profiling",
			"timer_settime":     "profiling",
			"timer_delete":      "profiling",
		},
		only: slices.Concat([]seccomp.NameWithConditions{
			threadsOnly(),
			// Its own processors are stopped, and its own threads preempted.
			with("tgkill", equals(0, uint64(pid))),
			// Limits may be read, not set.
			with("prlimit64", equals(0, 0), equals(2, 0)),
			with("prctl", equals(0, unix.PR_SET_VMA)),
			with("prctl", equals(0, unix.PR_SET_NAME)),
			// Tighter filters, on top of this one.
			with("prctl", equals(0, unix.PR_GET_SECCOMP)),
			with("seccomp", equals(0, unix.SECCOMP_SET_MODE_FILTER)),
		}, anyOf("ioctl", 1, runRequests...)),
		absent: []string{
			"clone3", // its flags are in memory, where no filter can see them
			"io_uring_setup", "userfaultfd", "openat2", "close_range", "futex_waitv", "statx",
		},
	}
}

// vcpuCalls is what a thread may do that runs one processor and handles what the guest
// does with devices. Go's runtime may do anywhere what it does on one's behalf: collect
// garbage, look for work, wake others. It makes no threads on a thread that is locked.
func vcpuCalls(pid int) calls {
	return calls{
		always: []string{"write", "futex"},
		rarely: map[string]string{
			"read":            "Go's runtime has been woken",
			"close":           "a device that the guest resets",
			"shutdown":        "a device that the guest resets",
			"readv":           "a device that the guest resets, with streams",
			"writev":          "a device that the guest resets, with streams",
			"recvfrom":        "a device that the guest resets, with streams",
			"poll":            "a device that the guest resets, with streams",
			"fcntl":           "a device that the guest starts",
			"eventfd2":        "a device that the guest starts",
			"epoll_ctl":       "a device that the guest starts",
			"epoll_pwait":     "Go's runtime looks for work",
			"rt_sigreturn":    "the processor is stopped, or Go's runtime interrupts a thread",
			"rt_sigprocmask":  "a thread that ends",
			"sigaltstack":     "a thread that ends",
			"sched_yield":     "Go's runtime waits for another thread",
			"nanosleep":       "Go's runtime waits for another thread",
			"gettid":          "a signal for this thread",
			"getpid":          "Go's runtime interrupts a thread",
			"mmap":            "more memory",
			"munmap":          "memory that goes back to the host",
			"madvise":         "memory that goes back to the host",
			"brk":             "memory in programs linked to C",
			"mprotect":        "memory in programs linked to C",
			"clock_gettime":   "hosts whose clock the vDSO can't read",
			"getrandom":       "random numbers, where the vDSO has none",
			"restart_syscall": "after a stop and continuation, as by a debugger",
			"exit":            "the end of the thread",
			"exit_group":      "the end of the process",
		},
		only: slices.Concat([]seccomp.NameWithConditions{
			with("tgkill", equals(0, uint64(pid))),
			with("prctl", equals(0, unix.PR_SET_VMA)),
		}, anyOf("ioctl", 1, cpuRequests...)),
	}
}
