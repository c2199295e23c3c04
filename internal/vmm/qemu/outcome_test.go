package qemu

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/qemu/qmp"
)

func TestOutcome(t *testing.T) {
	status := errors.New("exit status 1")
	const panicked = "[    1.0] x\r\n[    1.1] Kernel panic - not syncing: No working init found.\r\n[    1.2] CPU: 0\r\n"
	for _, test := range []struct {
		name string
		ending
		reason vmm.Reason
		err    string
	}{
		{"power off", ending{cause: causeGuestShutdown}, vmm.ReasonOff, ""},
		{"reboot", ending{cause: causeGuestReset, console: "all is well"}, vmm.ReasonOff, ""},
		{"power off after an old panic", ending{cause: causeGuestShutdown, console: panicked}, vmm.ReasonOff, ""},
		{"power off, killed too late", ending{cause: causeGuestShutdown, killed: true}, vmm.ReasonOff, ""},
		{
			"panic",
			ending{cause: causeGuestReset, console: panicked},
			vmm.ReasonPanic, "guest: Kernel panic - not syncing: No working init found.",
		},
		{
			"panic, killed too late",
			ending{cause: causeGuestReset, console: panicked, err: errors.New("signal: killed"), killed: true},
			vmm.ReasonPanic, "guest: Kernel panic - not syncing: No working init found.",
		},
		{"killed", ending{err: errors.New("signal: killed"), killed: true}, vmm.ReasonKilled, ""},
		{"killed by another", ending{err: errors.New("signal: killed")}, vmm.ReasonFailed, "run QEMU: signal: killed"},
		{
			"crashed while shutting down",
			ending{cause: causeGuestShutdown, err: status, stderr: "a\nb\n\nc\nd\n"},
			vmm.ReasonFailed, "run QEMU: exit status 1: b; c; d",
		},
		{"ended by another", ending{cause: "host-signal"}, vmm.ReasonFailed, "run QEMU: it was told to exit: host-signal"},
		{"unknown", ending{}, vmm.ReasonFailed, "run QEMU: it exited"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.at = time.Unix(1, 2)
			got := test.outcome()
			text := ""
			if got.Err != nil {
				text = got.Err.Error()
			}
			if got.Reason != test.reason || text != test.err || got.At != test.at {
				t.Errorf("%+v, want %s and error %q", got, test.reason, test.err)
			}
		})
	}
}

func TestShutdownCause(t *testing.T) {
	for _, test := range []struct {
		event qmp.Event
		cause string
		ok    bool
	}{
		{qmp.Event{Name: "SHUTDOWN", Data: json.RawMessage(`{"guest": true, "reason": "guest-reset"}`)}, "guest-reset", true},
		{qmp.Event{Name: "SHUTDOWN", Data: json.RawMessage(`[1]`)}, "", true},
		{qmp.Event{Name: "SHUTDOWN"}, "", true},
		{qmp.Event{Name: "RESET", Data: json.RawMessage(`{"reason": "guest-reset"}`)}, "", false},
	} {
		if cause, ok := shutdownCause(test.event); cause != test.cause || ok != test.ok {
			t.Errorf("%s %s: %q, %v", test.event.Name, test.event.Data, cause, ok)
		}
	}
}

func TestStartErrorKnowsWhatToDo(t *testing.T) {
	for stderr, hint := range map[string]string{
		"qemu: cannot set up guest memory 'pc.ram': Cannot allocate memory": "less memory",
		"bogus": programVariable,
	} {
		err := startError("/usr/bin/qemu", ending{err: errors.New("exit status 1"), stderr: stderr})
		if !errors.Is(err, protocol.KindEngine) || !strings.Contains(protocol.HintOf(err), hint) ||
			!strings.HasSuffix(err.Error(), stderr) {
			t.Errorf("%v (%s)", err, protocol.HintOf(err))
		}
	}
}
