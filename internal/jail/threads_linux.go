package jail

import (
	"syscall"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// caller makes a system call whose effect is on single threads.
type caller func(number, a, b, c uintptr) syscall.Errno

// thisThread is for a process that goes on with this thread alone.
func thisThread(number, a, b, c uintptr) syscall.Errno {
	_, _, errno := unix.RawSyscall6(number, a, b, c, 0, 0, 0)
	return errno
}

// allThreads is for a process that goes on with all that it has.
func allThreads(number, a, b, c uintptr) syscall.Errno {
	_, _, errno := psx.Syscall6(number, a, b, c, 0, 0, 0)
	return errno
}
