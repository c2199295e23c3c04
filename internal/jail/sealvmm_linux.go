package jail

import (
	"errors"
	"os"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// SealVMM takes from the calling process, our own VMM, what it needed only to set up its
// machine. All threads are meant; none may have called [SealVCPU] yet. Without a filter so
// far, it has no jail, and stays so.
func SealVMM() error {
	return sealFurther(RoleVMMRunning, seccomp.FilterFlagTSync)
}

// SealVCPU takes from the calling thread, which must be locked to its goroutine, all but
// what one processor of a machine needs. No thread must be made by it afterwards. Without
// a filter so far, there is no jail, and stays so.
func SealVCPU() error {
	return sealFurther(RoleVCPU, 0)
}

// sealFurther filters more in a jail. A filter of someone else's, such as a container's,
// makes no jail: then no_new_privs need not be set, and no filter can be added.
func sealFurther(role Role, flags seccomp.FilterFlag) error {
	if !isFiltered() {
		return nil
	}
	err := loadFilter(role, os.Getpid(), flags)
	if errors.Is(err, unix.EACCES) {
		return nil
	}
	return err
}

// isFiltered reports whether this thread is under a seccomp filter.
func isFiltered() bool {
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return err == nil && mode == unix.SECCOMP_MODE_FILTER
}
