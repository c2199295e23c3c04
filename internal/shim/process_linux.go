package shim

import (
	"bytes"
	"cmp"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// processStart returns when a process started: in which boot of the host, and how
// many clock ticks after it. A zombie counts as gone.
func processStart(pid int) (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The second field is the program's name in parentheses, which may hold
	// anything; the third is the state, the 22nd the start time (proc(5)).
	_, rest, found := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	fields := bytes.Fields(rest)
	if !found || len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat is not as expected", pid)
	}
	if state := fields[0][0]; state == 'Z' || state == 'X' {
		return "", os.ErrProcessDone
	}
	return fmt.Sprintf("%s %s", bytes.TrimSpace(boot), fields[19]), nil
}

// replaceFD makes to the same open file as from. (Not every Linux has dup2.)
func replaceFD(from, to int) error { return unix.Dup3(from, to, 0) }

// peerOf returns the process that listens at the other end of a connection.
func peerOf(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	e := raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = cmp.Or(e, err); err != nil {
		return 0, err
	}
	return int(peer.Pid), nil
}
