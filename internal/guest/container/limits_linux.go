package container

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// limit is a resource limit that a process starts with.
type limit struct {
	resource int
	value    unix.Rlimit
}

// defaultLimits differ from what the kernel gives to its first process where that
// doesn't suit a container. Open files may be many, but only for programs that
// ask: others use select, which fails beyond 1024, or close all they might have.
var defaultLimits = []limit{
	{unix.RLIMIT_NOFILE, unix.Rlimit{Cur: 1024, Max: 1 << 20}},
	{unix.RLIMIT_NPROC, unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}},
	{unix.RLIMIT_CORE, unix.Rlimit{Cur: 0, Max: unix.RLIM_INFINITY}},
}

// processLimits returns the default limits, or those that are nearest to them if
// the agent may not raise its own.
func processLimits() ([]limit, error) {
	var own capData
	if err := unix.Capget(capHeader(), &own[0]); err != nil {
		return nil, fmt.Errorf("get capabilities: %w", err)
	}
	limits := append([]limit{}, defaultLimits...)
	if own[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0 {
		return limits, nil
	}
	for i := range limits {
		var current unix.Rlimit
		if err := unix.Getrlimit(limits[i].resource, &current); err != nil {
			return nil, fmt.Errorf("get limits: %w", err)
		}
		value := &limits[i].value
		value.Max = min(value.Max, current.Max)
		value.Cur = min(value.Cur, value.Max)
	}
	return limits, nil
}
