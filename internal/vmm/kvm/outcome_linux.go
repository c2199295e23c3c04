package kvm

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/console"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/control"
)

// What was being done, in errors.
const (
	opStart = "start the virtual machine"
	opRun   = "run the virtual machine"
)

// ending is all that is known about the end of a machine.
type ending struct {
	killed bool // Kill was called
	// outOfMemory means that the VMM had reached its limit on memory.
	outOfMemory bool
	end         *control.End // what the VMM said, or nil
	exit        error        // how it exited; nil is status 0
	stderr      string       // the end of it
	console     string       // the end of it
	at          time.Time    // when the VMM exited
}

// outcome judges. What the guest did counts more than what was done to it: a Kill that
// comes too late does not change it.
func (e ending) outcome() vmm.Outcome {
	o := vmm.Outcome{At: e.at, Console: console.LastWords(e.console)}
	exited := e.exit == nil || e.killed // a crash while it shuts down is one
	reset := exited && e.end != nil && e.end.Reason == control.EndReset
	panicked := console.LineWith(e.console, console.PanicMarker)
	switch {
	case reset && panicked == "":
		o.Reason = vmm.ReasonOff
	case reset:
		o.Reason = vmm.ReasonPanic
		o.Err = &protocol.Error{Kind: protocol.KindEngine, Op: "guest", Err: errors.New(panicked)}
	case e.killed:
		o.Reason = vmm.ReasonKilled
	case e.outOfMemory:
		o.Reason = vmm.ReasonOutOfMemory
		o.Err = outOfMemory(opRun)
	default:
		o.Reason = vmm.ReasonFailed
		o.Err = &protocol.Error{Kind: protocol.KindEngine, Op: opRun, Err: e.failure()}
	}
	return o
}

func outOfMemory(op string) error {
	return &protocol.Error{
		Kind: protocol.KindResourceExhausted, Op: op,
		Err: errors.New("its VMM had reached its limit on the host's memory, and was killed"),
	}
}

// failure says how the VMM ended, and its own last words. They are made fit to print:
// the guest may have had a hand in them.
func (e ending) failure() error {
	parts := []string{"its VMM exited"}
	if e.exit != nil {
		parts[0] = fmt.Sprintf("its VMM ended with %v", e.exit)
	}
	if e.end != nil {
		said := cmp.Or(e.end.Reason, "nothing")
		if e.end.Error != "" {
			said += ": " + e.end.Error
		}
		parts = append(parts, said)
		if e.end.Registers != "" {
			parts = append(parts, e.end.Registers)
		}
		if e.exit == nil {
			parts = parts[1:]
		}
	}
	parts = append(parts, console.LastLines(e.stderr, 3))
	var clean []string
	for _, part := range parts {
		if words := oneLine(part); words != "" {
			clean = append(clean, words)
		}
	}
	return errors.New(strings.Join(clean, "; "))
}

// oneLine makes what the VMM says fit to print in an error.
func oneLine(text string) string { return strings.ReplaceAll(console.LastWords(text), "\n", "; ") }

// startError says why the VMM did not set up the machine: it has refused to, or ended.
func startError(why error, e ending) error {
	var text string
	if said, ok := errors.AsType[refusal](why); ok {
		text = string(said)
	} else {
		if e.outOfMemory {
			return outOfMemory(opStart)
		}
		text = e.failure().Error()
	}
	hint := ""
	for _, known := range []struct{ words, hint string }{
		{"cannot allocate memory", "give the box less memory, or stop others"},
		{"KVM request", "see whether KVM works with boxlite doctor, or choose the engine qemu"},
	} {
		if strings.Contains(text, known.words) {
			hint = known.hint
			break
		}
	}
	return &protocol.Error{Kind: protocol.KindEngine, Op: opStart, Hint: hint, Err: errors.New(text)}
}
