package shim

import (
	"errors"
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
	"github.com/boxlite-go/boxlite/internal/vmm"
)

func TestEndings(t *testing.T) {
	p := &process{spec: Spec{Dir: "/boxes/x", VM: vmm.Spec{MemoryMiB: 64}}}
	panicked := errors.New("guest: Kernel panic - not syncing: x")
	for _, test := range []struct {
		name         string
		record       *boxlitev1.ExitRecord
		reason, text string
		kind         protocol.Kind
	}{
		{"exit", mainEnded(&boxlitev1.ExitStatus{Code: 137, Signal: 9}, 64), ReasonExited, "", 0},
		{
			"the guest's memory", mainEnded(&boxlitev1.ExitStatus{Code: 137, Signal: 9, OutOfMemory: true}, 64), ReasonOOM,
			"the box ran out of its 64 MiB of memory, and its kernel killed the main process", protocol.KindResourceExhausted,
		},
		{
			"the host's memory", p.machineEnded(vmm.Outcome{Reason: vmm.ReasonOutOfMemory}), ReasonHostOOM,
			"the virtual machine of the box, of 64 MiB, has reached its limit on the host's memory, and the host's kernel killed it", protocol.KindResourceExhausted,
		},
		{
			"panic", p.machineEnded(vmm.Outcome{Reason: vmm.ReasonPanic, Err: panicked, Console: "a\nb"}), ReasonPanic,
			"guest: Kernel panic - not syncing: x; its console said last: a | b", protocol.KindEngine,
		},
		{
			"a panic for want of memory", p.machineEnded(vmm.Outcome{Reason: vmm.ReasonPanic, Err: errors.New("guest: Kernel panic - not syncing: System is deadlocked on memory")}),
			ReasonOOM, "guest: Kernel panic - not syncing: System is deadlocked on memory", protocol.KindResourceExhausted,
		},
		{"power off", p.machineEnded(vmm.Outcome{Reason: vmm.ReasonOff}), ReasonVMM, "the guest powered off", protocol.KindEngine},
		{
			"crash", p.machineEnded(vmm.Outcome{Reason: vmm.ReasonFailed, Err: errors.New("run QEMU: signal: killed")}), ReasonVMM,
			"run QEMU: signal: killed", protocol.KindEngine,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.record.GetReason() != test.reason {
				t.Errorf("the reason is %s, want %s", test.record.GetReason(), test.reason)
			}
			if test.text == "" {
				if test.record.GetError() != nil {
					t.Errorf("it is an error: %v", test.record.GetError())
				}
				return
			}
			err := rpc.FromDetail(test.record.GetError())
			if err.Error() != test.text || !errors.Is(err, test.kind) || protocol.HintOf(err) == "" {
				t.Errorf("got %q of kind %v, hint %q", err, protocol.KindOf(err), protocol.HintOf(err))
			}
		})
	}
}
