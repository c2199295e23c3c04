package container

import "golang.org/x/sys/unix"

// limit is a resource limit that a process starts with.
type limit struct {
	resource uintptr
	value    unix.Rlimit
}

// limits differ from what the kernel gives to its first process where that is
// too little for a container. Open files may be many, but only for programs that
// ask: others use select, which fails beyond 1024, or close all they might have.
var limits = []limit{
	{unix.RLIMIT_NOFILE, unix.Rlimit{Cur: 1024, Max: 1 << 20}},
	{unix.RLIMIT_NPROC, unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}},
	{unix.RLIMIT_CORE, unix.Rlimit{Cur: 0, Max: unix.RLIM_INFINITY}},
}
