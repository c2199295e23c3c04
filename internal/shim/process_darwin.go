package shim

import (
	"os"

	"golang.org/x/sys/unix"
)

// processStart returns when a process started, in microseconds since 1970. A
// zombie counts as gone.
func processStart(pid int) (uint64, error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return 0, err
	}
	const zombie = 5 // SZOMB
	if info.Proc.P_stat == zombie {
		return 0, os.ErrProcessDone
	}
	start := info.Proc.P_starttime
	return uint64(start.Sec)*1_000_000 + uint64(start.Usec), nil
}

// replaceFD makes to the same open file as from.
func replaceFD(from, to int) error { return unix.Dup2(from, to) }
