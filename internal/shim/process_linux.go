package shim

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// processStart returns when a process started, in clock ticks since boot. A
// zombie counts as gone.
func processStart(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the program's name in parentheses, which may hold
	// anything; the third is the state, the 22nd the start time (proc(5)).
	_, rest, found := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	fields := bytes.Fields(rest)
	if !found || len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat is not as expected", pid)
	}
	if state := fields[0][0]; state == 'Z' || state == 'X' {
		return 0, os.ErrProcessDone
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}

// replaceFD makes to the same open file as from. (Not every Linux has dup2.)
func replaceFD(from, to int) error { return unix.Dup3(from, to, 0) }
