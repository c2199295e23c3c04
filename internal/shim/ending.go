package shim

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
	"github.com/boxlite-go/boxlite/internal/vmm"
)

const hintMemory = "give the box more memory, with --memory or BoxSpec.MemoryMiB"

// panicMemory is in what the guest's kernel says when it has no memory left, nor a
// process that it could kill.
const panicMemory = "deadlocked on memory"

// mainEnded records the end of the main process.
func mainEnded(status *boxlitev1.ExitStatus, memoryMiB int) *boxlitev1.ExitRecord {
	if !status.GetOutOfMemory() {
		return &boxlitev1.ExitRecord{Reason: ReasonExited, Status: status}
	}
	return &boxlitev1.ExitRecord{Reason: ReasonOOM, Status: status, Error: rpc.ToDetail(&protocol.Error{
		Kind: protocol.KindResourceExhausted,
		Err:  fmt.Errorf("the box ran out of its %d MiB of memory, and its kernel killed the main process", memoryMiB),
		Hint: hintMemory,
	})}
}

// hostOOM records that the host's kernel killed the virtual machine, which had reached
// its limit on memory.
func hostOOM(memoryMiB int) *boxlitev1.ExitRecord {
	return &boxlitev1.ExitRecord{Reason: ReasonHostOOM, Error: rpc.ToDetail(&protocol.Error{
		Kind: protocol.KindResourceExhausted,
		Err:  fmt.Errorf("the virtual machine of the box, of %d MiB, has reached its limit on the host's memory, and the host's kernel killed it", memoryMiB),
		Hint: "start it again; if it happens again, give it less memory",
	})}
}

// machineEnded records an end of the machine that nobody asked for.
func (p *process) machineEnded(outcome vmm.Outcome) *boxlitev1.ExitRecord {
	if outcome.Reason == vmm.ReasonOutOfMemory {
		return hostOOM(p.spec.VM.MemoryMiB)
	}
	err := p.machineError(outcome)
	reason := ReasonVMM
	switch {
	case err.Kind == protocol.KindResourceExhausted:
		reason = ReasonOOM
	case outcome.Reason == vmm.ReasonPanic:
		reason = ReasonPanic
	}
	return &boxlitev1.ExitRecord{Reason: reason, Error: rpc.ToDetail(err)}
}

// machineError says how a machine ended that should not have.
func (p *process) machineError(outcome vmm.Outcome) *protocol.Error {
	err, kind := outcome.Err, protocol.KindEngine
	hint := "all of the guest's console is in " + filepath.Join(p.spec.Dir, dirLogs, fileConsoleLog)
	if err != nil && outcome.Reason == vmm.ReasonPanic && strings.Contains(err.Error(), panicMemory) {
		kind, hint = protocol.KindResourceExhausted, hintMemory
	}
	switch {
	case err != nil:
	case outcome.Reason == vmm.ReasonOff:
		err = errors.New("the guest powered off")
	default:
		err = errors.New("the virtual machine ended")
	}
	if outcome.Console != "" {
		err = fmt.Errorf("%w; its console said last: %s", err, strings.ReplaceAll(outcome.Console, "\n", " | "))
	}
	return &protocol.Error{Kind: kind, Err: err, Hint: hint}
}
