//go:build linux

package main

import (
	"fmt"
	"slices"

	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// filter is one translation of the profile: for containers that have these of the
// capabilities for which the profile lets more system calls through.
type filter struct {
	name, comment string
	capabilities  []string
}

// filters leave out CAP_DAC_READ_SEARCH, which a container may have: with it
// comes open_by_handle_at, which opens files outside of the container's root.
var filters = []filter{
	{"filter", "is Docker's default seccomp profile", []string{"CAP_SYS_CHROOT"}},
	{
		"wideFilter", "is the profile for containers with more capabilities",
		[]string{"CAP_SYS_CHROOT", "CAP_SYS_NICE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_SYSLOG"},
	},
}

// verdict is what happens to a system call: it is allowed if any of its
// conditions holds, and fails with errno otherwise.
type verdict struct {
	errno uint32
	allow []condition
}

// condition holds for a call if all its tests do. Without tests it always holds.
type condition []specs.LinuxSeccompArg

// verdicts returns what the profile says of all system calls of an ABI that it
// knows, by number.
func verdicts(f filter, t target, a abi) (map[uint32]verdict, error) {
	info, err := arch.GetInfo(a.table)
	if err != nil {
		return nil, err
	}
	profile := seccomp.DefaultProfile()
	if profile.DefaultAction != specs.ActErrno || *profile.DefaultErrnoRet != uint(unix.EPERM) {
		return nil, fmt.Errorf("the profile's default has changed")
	}
	result := map[uint32]verdict{}
	for _, rule := range profile.Syscalls {
		if !applies(rule, t.docker, f.capabilities) {
			continue
		}
		for _, name := range rule.Names {
			number, ok := info.SyscallNames[name]
			if !ok {
				continue // of another architecture, or too new
			}
			v, ok := result[uint32(number)]
			if !ok {
				v.errno = uint32(unix.EPERM)
			}
			switch {
			case rule.Action == specs.ActAllow:
				v.allow = append(v.allow, rule.Args)
			case rule.Action == specs.ActErrno && rule.ErrnoRet != nil && len(rule.Args) == 0:
				v.errno = uint32(*rule.ErrnoRet)
			default:
				return nil, fmt.Errorf("%s: can't translate action %s", name, rule.Action)
			}
			result[uint32(number)] = v
		}
	}
	return result, nil
}

// applies reports whether a rule is for this architecture and for the
// capabilities of the container. The guest's kernel is newer than any that the
// profile names.
func applies(rule *seccomp.Syscall, docker string, capabilities []string) bool {
	if f := rule.Excludes; f != nil {
		has := func(c string) bool { return slices.Contains(capabilities, c) }
		if slices.Contains(f.Arches, docker) || slices.ContainsFunc(f.Caps, has) || f.MinKernel != nil {
			return false
		}
	}
	if f := rule.Includes; f != nil {
		lacks := func(c string) bool { return !slices.Contains(capabilities, c) }
		if len(f.Arches) > 0 && !slices.Contains(f.Arches, docker) || slices.ContainsFunc(f.Caps, lacks) {
			return false
		}
	}
	return true
}
