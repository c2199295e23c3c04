package shim

import (
	"cmp"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// processStart returns when a process started, in seconds since 1970. A
// zombie counts as gone.
func processStart(pid int) (string, error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return "", err
	}
	const zombie = 5 // SZOMB
	if info.Proc.P_stat == zombie {
		return "", os.ErrProcessDone
	}
	start := info.Proc.P_starttime
	return fmt.Sprintf("%d.%06d", start.Sec, start.Usec), nil
}

// replaceFD makes to the same open file as from.
func replaceFD(from, to int) error { return unix.Dup2(from, to) }

// peerOf returns the process that listens at the other end of a connection.
func peerOf(conn *net.UnixConn) (pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	e := raw.Control(func(fd uintptr) { pid, err = unix.GetsockoptInt(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERPID) })
	return pid, cmp.Or(e, err)
}
