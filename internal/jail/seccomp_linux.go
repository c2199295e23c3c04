package jail

import (
	"fmt"
	"slices"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// calls is what a role may do. All else fails with EPERM; what programs probe for and
// do without is told apart, so that they do.
type calls struct {
	// always are used in every run.
	always []string
	// rarely are used in some runs only, or on other hosts, for the reason given.
	rarely map[string]string
	// only are allowed with some arguments. Of several for one call, any will do.
	only []seccomp.NameWithConditions
	// absent fail with ENOSYS, as on a kernel that doesn't have them: libraries then
	// use another way, which is allowed.
	absent []string
}

// fdProgram is the descriptor by which a process becomes its program. Nothing else can
// be executed.
const fdProgram = 1000

// roleCalls returns what a role may do in the process with this ID.
func roleCalls(role Role, pid int) (calls, error) {
	switch role {
	case RoleQEMU:
		return qemuCalls(pid), nil
	case RoleVMM:
		return vmmCalls(pid), nil
	case RoleVMMRunning:
		return vmmRunningCalls(pid), nil
	case RoleVCPU:
		return vcpuCalls(pid), nil
	case RoleShim:
		return shimCalls(pid), nil
	case RoleShimNetwork:
		return networkCalls(pid), nil
	}
	return calls{}, fmt.Errorf("there is no role %q", role)
}

// Allowed returns the names of the system calls that a role may make: those that every
// run uses, and those that are allowed for some runs or hosts only, or with some
// arguments only.
func Allowed(role Role) (always, sometimes []string, err error) {
	c, err := roleCalls(role, 1)
	if err != nil {
		return nil, nil, err
	}
	for name := range c.rarely {
		sometimes = append(sometimes, name)
	}
	for _, only := range c.only {
		sometimes = append(sometimes, only.Name)
	}
	slices.Sort(sometimes)
	return c.always, slices.Compact(sometimes), nil
}

// policy returns the filter. Names that this architecture doesn't have are left out.
func (c calls) policy() (seccomp.Policy, error) {
	info, err := arch.GetInfo("")
	if err != nil {
		return seccomp.Policy{}, err
	}
	known := func(name string) bool { _, ok := info.SyscallNames[name]; return ok }
	allowed := seccomp.SyscallGroup{Action: seccomp.ActionAllow}
	names := slices.Clone(c.always)
	for name := range c.rarely {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if known(name) {
			allowed.Names = append(allowed.Names, name)
		}
	}
	for _, only := range c.only {
		if known(only.Name) {
			allowed.NamesWithCondtions = append(allowed.NamesWithCondtions, only)
		}
	}
	absent := seccomp.SyscallGroup{Action: seccomp.Action(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS))}
	for _, name := range c.absent {
		if known(name) {
			absent.Names = append(absent.Names, name)
		}
	}
	return seccomp.Policy{
		DefaultAction: seccomp.ActionErrno, // EPERM
		Syscalls:      []seccomp.SyscallGroup{allowed, absent},
	}, nil
}

// filterCalls puts all threads of this process, and what they execute, under the
// filter of a role. no_new_privs must be set.
func filterCalls(role Role, pid int) error { return loadFilter(role, pid, seccomp.FilterFlagTSync) }

func loadFilter(role Role, pid int, flags seccomp.FilterFlag) error {
	c, err := roleCalls(role, pid)
	if err != nil {
		return err
	}
	policy, err := c.policy()
	if err != nil {
		return err
	}
	if err := seccomp.LoadFilter(seccomp.Filter{Flag: flags, Policy: policy}); err != nil {
		return fmt.Errorf("filter system calls: %w", err)
	}
	return nil
}

// with allows a call if all conditions hold.
func with(name string, conditions ...seccomp.Condition) seccomp.NameWithConditions {
	return seccomp.NameWithConditions{Name: name, Conditions: conditions}
}

func equals(argument uint32, value uint64) seccomp.Condition {
	return seccomp.Condition{Argument: argument, Operation: seccomp.Equal, Value: value}
}

// anyOf allows a call if an argument has one of some values.
func anyOf(name string, argument uint32, values ...uint64) []seccomp.NameWithConditions {
	var allowed []seccomp.NameWithConditions
	for _, v := range values {
		allowed = append(allowed, with(name, equals(argument, v)))
	}
	return allowed
}

// threadsOnly allows a process to make threads, and no processes. (The kernel takes
// CLONE_THREAD only with all else that makes a thread.)
func threadsOnly() seccomp.NameWithConditions {
	return with("clone",
		seccomp.Condition{Argument: 0, Operation: seccomp.BitsSet, Value: unix.CLONE_THREAD},
		seccomp.Condition{Argument: 0, Operation: seccomp.BitsNotSet, Value: namespaceFlags | unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME},
	)
}
