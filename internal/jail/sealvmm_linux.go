package jail

import (
	"os"

	"golang.org/x/sys/unix"
)

// SealVMM takes from the calling process, our own VMM, what it needed only to set up its
// machine. All threads are meant; none may have called [SealVCPU] yet. Without a filter so far, it has no jail, and stays so.
func SealVMM() error {
	if !isFiltered() {
		return nil
	}
	return filterCalls(RoleVMMRunning, os.Getpid())
}

// SealVCPU takes from the calling thread, which must be locked to its goroutine, all but
// what one processor of a machine needs. No thread must be made by it afterwards. Without
// a filter so far, there is no jail, and stays so.
func SealVCPU() error {
	if !isFiltered() {
		return nil
	}
	return loadFilter(RoleVCPU, os.Getpid(), 0)
}

// isFiltered reports whether this thread is under a seccomp filter.
func isFiltered() bool {
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return err == nil && mode == unix.SECCOMP_MODE_FILTER
}
