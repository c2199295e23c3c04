package container

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// all returns all capabilities that a container can have, as far as the test has
// them to give; an agent has them all.
func all(t *testing.T) *protocol.Capabilities {
	t.Helper()
	var own capData
	mustDo(t, unix.Capget(capHeader(), &own[0]))
	set := protocol.AllCapabilities & (protocol.Capabilities(own[1].Permitted)<<32 | protocol.Capabilities(own[0].Permitted))
	if set != protocol.AllCapabilities {
		t.Logf("the test itself lacks %v", (protocol.AllCapabilities &^ set).Names())
	}
	return &set
}

// TestCapabilities: root has what it was given, be it less than it takes to change
// the user; nobody can gain more.
func TestCapabilities(t *testing.T) {
	for name, set := range map[string]protocol.Capabilities{
		"none": 0, "one": 1 << unix.CAP_NET_RAW, "default": protocol.DefaultCapabilities, "all": *all(t),
	} {
		t.Run(name, func(t *testing.T) {
			c := newContainer(t, Config{Capabilities: &set})
			for user, effective := range map[string]protocol.Capabilities{"root": set, "ada": 0} {
				r := runProcess(t, c, Process{Args: []string{"cat", "/proc/self/status"}, User: user})
				for field, want := range map[string]protocol.Capabilities{"CapInh": 0, "CapPrm": effective, "CapEff": effective, "CapBnd": set, "CapAmb": 0} {
					if line := fmt.Sprintf("%s:\t%016x\n", field, uint64(want)); !strings.Contains(r.stdout, line) {
						t.Errorf("%s: no %q in\n%s", user, line, r.stdout)
					}
				}
			}
			if got := runProcess(t, c, Process{Args: []string{"id", "-u"}, User: "ada"}); got.stdout != "1000\n" {
				t.Errorf("ada: got %+v", got)
			}
		})
	}
}

// TestWithheldCapabilities: not even the host can have the agent give what leads
// out of the container.
func TestWithheldCapabilities(t *testing.T) {
	for n := range 64 {
		set := protocol.Capabilities(1) << n
		if set&protocol.AllCapabilities != 0 {
			continue
		}
		c, err := New(context.Background(), Config{Root: t.TempDir(), Capabilities: &set})
		if err == nil {
			c.Kill()
		}
		if !errors.Is(err, protocol.KindUnsupported) {
			t.Errorf("%d: got %v", n, err)
		}
	}
}

// TestSystemCallsWithAllCapabilities: those with which one could leave the
// container stay forbidden, whatever it has.
func TestSystemCallsWithAllCapabilities(t *testing.T) {
	set := all(t)
	c := newContainer(t, Config{Capabilities: set})
	var buf [64]byte
	at := func(b []byte) uintptr { return uintptr(unsafe.Pointer(&b[0])) }
	path := []byte("/tmp\x00")
	calls := []systemCall{
		{"unshare(mnt)", unix.SYS_UNSHARE, []uintptr{unix.CLONE_NEWNS}, unix.EPERM},
		{"unshare(user)", unix.SYS_UNSHARE, []uintptr{unix.CLONE_NEWUSER}, unix.EPERM},
		{"setns", unix.SYS_SETNS, []uintptr{0, 0}, unix.EPERM},
		{"clone3", unix.SYS_CLONE3, []uintptr{at(buf[:]), 64}, unix.ENOSYS},
		{"mount", unix.SYS_MOUNT, []uintptr{at(path), at(path), 0, unix.MS_BIND, 0}, unix.EPERM},
		{"fsopen", unix.SYS_FSOPEN, []uintptr{at(path), 0}, unix.EPERM},
		{"bpf", unix.SYS_BPF, nil, unix.EPERM},
		{"perf_event_open", unix.SYS_PERF_EVENT_OPEN, nil, unix.EPERM},
		{"userfaultfd", unix.SYS_USERFAULTFD, nil, unix.EPERM},
		{"open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, nil, unix.EPERM},
		{"init_module", unix.SYS_INIT_MODULE, nil, unix.EPERM},
		{"kexec_load", unix.SYS_KEXEC_LOAD, nil, unix.EPERM},
		{"reboot", unix.SYS_REBOOT, nil, unix.EPERM},
		{"swapon", unix.SYS_SWAPON, nil, unix.EPERM},
		{"process_madvise", unix.SYS_PROCESS_MADVISE, []uintptr{0, 0, 0, 0, 0}, unix.EPERM},
		{"pidfd_getfd", unix.SYS_PIDFD_GETFD, []uintptr{0, 0, 0}, unix.EPERM},
		{"socket(vsock)", unix.SYS_SOCKET, []uintptr{unix.AF_VSOCK, unix.SOCK_STREAM, 0}, unix.EPERM},
	}
	for capability, call := range map[protocol.Capabilities]systemCall{
		1 << unix.CAP_SYS_TIME: {"settimeofday(nothing)", unix.SYS_SETTIMEOFDAY, nil, 0},
		1 << unix.CAP_SYSLOG:   {"syslog(size)", unix.SYS_SYSLOG, []uintptr{10, 0, 0}, 0},
		1 << unix.CAP_SYS_NICE: {"get_mempolicy", unix.SYS_GET_MEMPOLICY, []uintptr{0, 0, 0, 0, 0}, 0},
	} {
		if *set&capability != 0 {
			calls = append(calls, call)
		}
	}
	trySystemCalls(t, c, "root", calls)
}
