package jail

import (
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	// maxDescriptors is how many files a VMM may have open.
	maxDescriptors = 1024
	// stackSize is the usual stack of a thread, whatever the user's own limit is.
	stackSize = 8 << 20
	// spareAddresses is the address space that a VMM may reserve beside twice the
	// memory that it may fill: libraries, stacks, buffers for translated code.
	spareAddresses = 8 << 30
)

// What a shim may use.
const (
	shimDescriptors = 4096
	shimMemory      = 1 << 30
	// With a network, each connection takes a descriptor, and buffers at both ends.
	networkDescriptors = 16384
	networkMemory      = 4 << 30
	// shimFile is more than any log or record that it writes.
	shimFile = 64 << 20
)

// limitShim bounds what a shim takes from the host.
func limitShim(reach Reach) error {
	descriptors, memory := uint64(shimDescriptors), uint64(shimMemory)
	if reach.Network {
		descriptors, memory = networkDescriptors, networkMemory
	}
	return setRlimits([]rlimit{
		{"core dumps", unix.RLIMIT_CORE, 0},
		{"file size", unix.RLIMIT_FSIZE, shimFile},
		{"descriptors", unix.RLIMIT_NOFILE, descriptors},
		{"memory", unix.RLIMIT_DATA, memory},
		{"locked memory", unix.RLIMIT_MEMLOCK, 0},
	})
}

// rlimit is one limit, as setrlimit(2) knows it.
type rlimit struct {
	name     string
	resource int
	value    uint64
}

// limitResources sets what the kernel counts for each process or user. Where the user
// is not the box's own, its processes aren't counted: others' count too.
func limitResources(l Limits, ownUser bool) error {
	limits := []rlimit{
		{"core dumps", unix.RLIMIT_CORE, 0},
		{"file size", unix.RLIMIT_FSIZE, uint64(l.FileBytes)},
		{"descriptors", unix.RLIMIT_NOFILE, maxDescriptors},
		{"address space", unix.RLIMIT_AS, uint64(2*l.MemoryBytes + spareAddresses)},
		{"stack", unix.RLIMIT_STACK, stackSize},
		{"locked memory", unix.RLIMIT_MEMLOCK, 0},
		{"message queues", unix.RLIMIT_MSGQUEUE, 0},
		{"priority", unix.RLIMIT_NICE, 0},
		{"real-time priority", unix.RLIMIT_RTPRIO, 0},
	}
	if ownUser {
		limits = append(limits, rlimit{"processes", unix.RLIMIT_NPROC, uint64(l.Threads)})
	}
	return setRlimits(limits)
}

// setRlimits sets limits for good; none is raised.
func setRlimits(limits []rlimit) error {
	for _, limit := range limits {
		var now unix.Rlimit
		if err := unix.Getrlimit(limit.resource, &now); err != nil {
			return fmt.Errorf("read the limit on %s: %w", limit.name, err)
		}
		value := min(limit.value, now.Max)
		if err := unix.Setrlimit(limit.resource, &unix.Rlimit{Cur: value, Max: value}); err != nil {
			return fmt.Errorf("limit %s: %w", limit.name, err)
		}
	}
	return nil
}
