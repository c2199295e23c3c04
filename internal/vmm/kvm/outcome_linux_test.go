package kvm

import (
	"errors"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/control"
)

func TestOutcome(t *testing.T) {
	const panicked = "[    1.0] x\r\n[    1.1] Kernel panic - not syncing: No working init found.\r\n[    1.2] CPU: 0\r\n"
	killed := errors.New("signal: killed")
	reset := &control.End{Reason: control.EndReset}
	fault := &control.End{Reason: control.EndTripleFault, Error: "processor 1", Registers: "rip 1\nrsp 2"}
	for _, test := range []struct {
		name string
		ending
		reason vmm.Reason
		err    string
	}{
		{"reset", ending{end: reset, console: "all is well"}, vmm.ReasonOff, ""},
		{"reset, killed too late", ending{end: reset, exit: killed, killed: true}, vmm.ReasonOff, ""},
		{"panic", ending{end: reset, console: panicked}, vmm.ReasonPanic, "guest: Kernel panic - not syncing: No working init found."},
		{"killed", ending{exit: killed, killed: true}, vmm.ReasonKilled, ""},
		{"killed as it failed", ending{end: fault, killed: true}, vmm.ReasonKilled, ""},
		{"out of memory", ending{exit: killed, outOfMemory: true}, vmm.ReasonOutOfMemory, "limit on the host's memory"},
		{"killed by another", ending{exit: killed}, vmm.ReasonFailed, "its VMM ended with signal: killed"},
		{"triple fault", ending{end: fault}, vmm.ReasonFailed, "run the virtual machine: triple fault: processor 1; rip 1; rsp 2"},
		{
			"crash after a reset",
			ending{end: reset, exit: errors.New("exit status 2"), stderr: "panic: x\n"},
			vmm.ReasonFailed, "its VMM ended with exit status 2; reset; panic: x",
		},
		{"nothing said", ending{}, vmm.ReasonFailed, "its VMM exited"},
		{"nonsense", ending{end: &control.End{Error: "\x1b[31ma\x00b"}}, vmm.ReasonFailed, "nothing: ab"},
	} {
		o := test.outcome()
		if o.Reason != test.reason || (o.Err == nil) != (test.err == "") || o.Err != nil && !strings.Contains(o.Err.Error(), test.err) {
			t.Errorf("%s: %+v", test.name, o)
		}
	}
}
