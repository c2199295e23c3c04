package qemu

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/console"
	"github.com/boxlite-go/boxlite/internal/vmm/qemu/qmp"
)

// Why QEMU says it shuts down (QAPI, ShutdownCause).
const (
	causeGuestShutdown = "guest-shutdown"
	causeGuestReset    = "guest-reset"
)

// ending is all that is known about the end of a machine.
type ending struct {
	killed bool // Kill was called
	// outOfMemory means that QEMU had reached its limit on memory.
	outOfMemory bool
	cause       string    // last SHUTDOWN event's, or empty
	err         error     // how QEMU exited; nil is status 0
	stderr      string    // the end of it
	console     string    // the end of it
	at          time.Time // when QEMU exited
}

// outcome judges. What the guest did counts more than what was done to it: a
// Kill that comes too late does not change it.
func (e ending) outcome() vmm.Outcome {
	o := vmm.Outcome{At: e.at, Console: console.LastWords(e.console)}
	panicked := console.LineWith(e.console, console.PanicMarker)
	exited := e.err == nil || e.killed // a crash while it shuts down is one
	switch {
	case exited && e.cause == causeGuestShutdown:
		o.Reason = vmm.ReasonOff
	case exited && e.cause == causeGuestReset && panicked == "":
		o.Reason = vmm.ReasonOff
	case exited && e.cause == causeGuestReset:
		o.Reason = vmm.ReasonPanic
		o.Err = &protocol.Error{Kind: protocol.KindEngine, Op: "guest", Err: errors.New(panicked)}
	case e.killed:
		o.Reason = vmm.ReasonKilled
	case e.outOfMemory:
		o.Reason = vmm.ReasonOutOfMemory
		o.Err = &protocol.Error{
			Kind: protocol.KindResourceExhausted, Op: "run QEMU",
			Err: errors.New("it had reached its limit on the host's memory, and was killed"),
		}
	default:
		o.Reason = vmm.ReasonFailed
		o.Err = &protocol.Error{Kind: protocol.KindEngine, Op: "run QEMU", Err: e.failure()}
	}
	return o
}

// failure says how QEMU ended, and its own last words.
func (e ending) failure() error {
	how := "it exited"
	switch {
	case e.err != nil:
		how = e.err.Error()
	case e.cause != "":
		how = "it was told to exit: " + e.cause
	}
	if words := console.LastLines(e.stderr, 3); words != "" {
		return fmt.Errorf("%s: %s", how, words)
	}
	return errors.New(how)
}

// shutdownCause returns why the machine shuts down, if e says that it does.
func shutdownCause(e qmp.Event) (string, bool) {
	if e.Name != "SHUTDOWN" {
		return "", false
	}
	var data struct {
		Reason string `json:"reason"`
	}
	_ = json.Unmarshal(e.Data, &data)
	return data.Reason, true
}

// startError says why QEMU ended before it had greeted.
func startError(program string, e ending) error {
	hint := "see whether " + program + " works, or name another one in " + programVariable
	const unpackAgain = "remove the home's init folder: what is in it is unpacked again"
	for _, known := range []struct{ words, hint string }{
		{"Cannot allocate memory", "give the box less memory, or stop others"},
		{"cannot set up guest memory", "give the box less memory, or stop others"},
		{`Failed to get "write" lock`, "another virtual machine uses this disk: stop it first"},
		{`Failed to get shared "write" lock`, "another virtual machine uses this disk: stop it first"},
		{"could not open kernel file", unpackAgain},
		{"linux kernel too old", unpackAgain},
		{"could not load kernel", unpackAgain},
		{"error reading initrd", unpackAgain},
		{"Could not access KVM", "the rights to /dev/kvm have changed: try again"},
	} {
		if strings.Contains(e.stderr, known.words) {
			hint = known.hint
			break
		}
	}
	return &protocol.Error{Kind: protocol.KindEngine, Op: "start QEMU", Hint: hint, Err: e.failure()}
}
