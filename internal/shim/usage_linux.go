package shim

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// clockTick is the unit of times in /proc/PID/stat (USER_HZ).
const clockTick = 10 * time.Millisecond

func usageOf(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	u, err := parseUsage(stat)
	u.PID = pid
	return u, err
}

// parseUsage reads /proc/PID/stat (proc_pid_stat(5)).
func parseUsage(stat []byte) (Usage, error) {
	const state, userTime, systemTime, pages = 3, 14, 15, 24 // numbers of fields
	words := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(words) <= pages-state {
		return Usage{}, errors.New("/proc/PID/stat is not as expected")
	}
	var failed error
	field := func(n int) uint64 {
		value, err := strconv.ParseUint(string(words[n-state]), 10, 64)
		failed = errors.Join(failed, err)
		return value
	}
	u := Usage{
		CPU:         time.Duration(field(userTime)+field(systemTime)) * clockTick,
		MemoryBytes: field(pages) * uint64(os.Getpagesize()),
	}
	return u, failed
}
