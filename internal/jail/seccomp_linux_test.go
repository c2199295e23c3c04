package jail

import (
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
)

func TestSeccompAlone(t *testing.T) {
	holdsAlone(
		t, Seccomp,
		"execute a shell", "execute a file in memory", "start processes without end", "make a socket",
		"connect to a TCP port of the host", "send to a UDP port of the host", "connect to a Unix socket of the host",
		"connect to an abstract socket of the host", "listen on a TCP port", "signal a host process", "trace a host process",
		"read a host process's memory", "open a host process", "mount", "unmount", "make a namespace", "change the root",
		"make a device", "load BPF", "open a performance counter", "make an io_uring", "add a key", "load a kernel module",
		"set the clock", "become another user", "raise a limit", "call a forbidden system call",
	)
}

// TestNamesOfSystemCalls: one that is misspelt would be left out of the list.
func TestNamesOfSystemCalls(t *testing.T) {
	known := map[string]bool{}
	for _, name := range []string{"x86_64", "aarch64"} {
		info, err := arch.GetInfo(name)
		if err != nil {
			t.Fatal(err)
		}
		for call := range info.SyscallNames {
			known[call] = true
		}
	}
	for _, role := range []Role{RoleQEMU, RoleVMM, RoleVMMRunning, RoleVCPU, RoleShim, RoleShimNetwork} {
		c, err := roleCalls(role, 1)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		check := func(name string) {
			if !known[name] {
				t.Errorf("%s: no system call is called %s", role, name)
			}
			if seen[name] {
				t.Errorf("%s: %s is listed twice", role, name)
			}
			seen[name] = true
		}
		for _, name := range c.always {
			check(name)
		}
		for name, why := range c.rarely {
			check(name)
			if why == "" {
				t.Errorf("%s: nothing says why %s is allowed", role, name)
			}
		}
		for _, name := range c.absent {
			check(name)
		}
		if _, err := c.policy(); err != nil {
			t.Errorf("%s: %v", role, err)
		}
	}
	if _, err := roleCalls("cook", 1); err == nil {
		t.Error("there is a role that isn't")
	}
}
