package vmm

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

const (
	// MaxCPUs is the most virtual CPUs a machine can have: more than that the
	// guest's kernel does not know.
	MaxCPUs = 64
	// MinMemoryMiB is the least memory in which kernel and agent can work.
	MinMemoryMiB = 64
	// MaxMemoryMiB is the most memory a machine can have.
	MaxMemoryMiB = 1 << 20
	// MaxDisks is the most disks a machine can have. An engine may have fewer.
	MaxDisks = 128
)

// serialPattern is what a virtio-blk device can tell its driver (virtio 1.2,
// 5.2.6), less what might need quoting anywhere.
var serialPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,20}$`)

// Validate reports what an engine can't start.
func (s Spec) Validate() error {
	invalid := func(hint string, format string, args ...any) error {
		return &protocol.Error{
			Kind: protocol.KindInvalidArgument, Op: "start the virtual machine",
			Hint: hint, Err: fmt.Errorf(format, args...),
		}
	}
	switch {
	case s.CPUs < 1 || s.CPUs > MaxCPUs:
		return invalid(fmt.Sprintf("ask for 1 to %d CPUs", MaxCPUs), "%d CPUs", s.CPUs)
	case s.MemoryMiB < MinMemoryMiB:
		return invalid(fmt.Sprintf("ask for %d MiB or more", MinMemoryMiB),
			"%d MiB of memory are below the minimum of %d MiB", s.MemoryMiB, MinMemoryMiB)
	case s.MemoryMiB > MaxMemoryMiB:
		return invalid(fmt.Sprintf("ask for %d MiB or less", MaxMemoryMiB),
			"%d MiB of memory are above the maximum of %d MiB", s.MemoryMiB, MaxMemoryMiB)
	case len(s.Disks) > MaxDisks:
		return invalid("", "%d disks are more than %d", len(s.Disks), MaxDisks)
	case s.Kernel == "" || s.Initrd == "" || s.Console == "":
		return &protocol.Error{
			Kind: protocol.KindInternal, Op: "start the virtual machine",
			Err: errors.New("no kernel, initrd or console given"),
		}
	}
	serials := make(map[string]bool)
	for _, d := range s.Disks {
		if !serialPattern.MatchString(d.Serial) || serials[d.Serial] {
			return invalid("", "disk %s: serial %q is not possible or taken", d.Path, d.Serial)
		}
		serials[d.Serial] = true
	}
	return nil
}
