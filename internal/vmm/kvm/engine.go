package kvm

import (
	"context"
	"errors"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/kvmprobe"
)

// Name is the engine's name.
const Name = "kvm"

// accelerator is what all machines run on.
const accelerator = "kvm"

// Engine runs virtual machines with our own VMM.
type Engine struct{}

var _ vmm.Engine = Engine{}

// Name returns "kvm".
func (Engine) Name() string { return Name }

// Probe finds out whether an ordinary guest runs on /dev/kvm.
func (Engine) Probe(ctx context.Context) (vmm.Capability, error) {
	if err := kvmprobe.Probe(ctx); err != nil {
		return vmm.Capability{}, err
	}
	return vmm.Capability{Engine: Name, Accelerator: accelerator, Isolation: vmm.IsolationHardware}, nil
}

// Start boots a machine. It returns when the VMM has set it up; the guest boots
// meanwhile.
func (Engine) Start(ctx context.Context, spec vmm.Spec, plan jail.Plan) (vmm.Machine, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	return start(ctx, spec, plan, device, nil)
}

// Lasting reports whether an error of Probe stays the same for as long as Fingerprint
// does. Where no guest runs, it takes a while to find that out.
func (Engine) Lasting(err error) bool {
	return errors.Is(err, protocol.KindUnsupportedEngine) && !kvmprobe.Transient(err)
}

// Fingerprint changes with what Probe depends on: what this process may do with
// /dev/kvm.
func (Engine) Fingerprint() string { return kvmprobe.Fingerprint() }
