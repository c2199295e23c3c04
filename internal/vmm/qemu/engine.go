package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/kvmprobe"
)

// Name is the engine's name.
const Name = "qemu"

// maxDisks is how many fit into QEMU's microvm beside the other devices.
const maxDisks = 8

const (
	accelKVM = "kvm"
	accelHVF = "hvf"
	accelTCG = "tcg"
)

// Engine runs virtual machines with QEMU.
type Engine struct {
	// Capability is how, as Probe found out, here or in another process. If it
	// names no program, Start probes first.
	Capability vmm.Capability
}

var _ vmm.Engine = (*Engine)(nil)

// Name returns "qemu".
func (*Engine) Name() string { return Name }

// Probe looks for QEMU and for the best accelerator with which it works, and
// starts a machine without a guest to see that it does.
func (*Engine) Probe(ctx context.Context) (vmm.Capability, error) {
	program, err := findProgram()
	if err != nil {
		return vmm.Capability{}, err
	}
	c := vmm.Capability{Engine: Name, Program: program, Accelerator: accelTCG, Isolation: vmm.IsolationEmulated}
	accelerator, err := hardware(ctx)
	if err == nil {
		if err = tryProgram(ctx, program, accelerator); err == nil {
			c.Accelerator, c.Isolation = accelerator, vmm.IsolationHardware
			return c, nil
		}
		err = fmt.Errorf("QEMU can't use %s: %w", accelerator, err)
	}
	if ctx.Err() != nil {
		return vmm.Capability{}, context.Cause(ctx)
	}
	c.Note = err.Error()
	if hint := protocol.HintOf(err); hint != "" {
		c.Note += "; " + hint
	}
	c.Transient = kvmprobe.Transient(err)
	c.TSCKHz = tscKHz()
	if err := tryProgram(ctx, program, accelTCG); err != nil {
		return vmm.Capability{}, &protocol.Error{
			Kind: protocol.KindUnsupportedEngine, Op: "probe engine qemu",
			Hint: "install another QEMU, or name one in BOXLITE_QEMU: " + installHint(), Err: err,
		}
	}
	return c, nil
}

// hardware names the accelerator with which guests run on the processor itself.
func hardware(ctx context.Context) (string, error) {
	switch runtime.GOOS {
	case "linux":
		return accelKVM, kvmprobe.Probe(ctx)
	case "darwin":
		return accelHVF, nil
	}
	return "", errors.New("no hardware acceleration is known on " + runtime.GOOS)
}

// Start boots a machine. It returns when QEMU has accepted it; the guest boots
// meanwhile.
func (e *Engine) Start(ctx context.Context, spec vmm.Spec, plan jail.Plan) (vmm.Machine, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if n := len(spec.Disks); n > maxDisks {
		return nil, &protocol.Error{
			Kind: protocol.KindUnsupported, Op: "start the virtual machine", Err: fmt.Errorf("%d disks are more than the %d that QEMU's microvm has room for", n, maxDisks),
			Hint: "use the engine kvm, or fewer disks",
		}
	}
	c := e.Capability
	if c.Program == "" {
		var err error
		if c, err = e.Probe(ctx); err != nil {
			return nil, err
		}
	}
	return start(ctx, spec, c, plan)
}

// Fingerprint changes with what Probe depends on: which QEMU would be used, and
// what this process may do with /dev/kvm.
func (*Engine) Fingerprint() string {
	program, err := findProgram()
	if err != nil {
		return err.Error()
	}
	info, err := os.Stat(program)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %d %d\n%s", program, info.Size(), info.ModTime().UnixNano(), kvmprobe.Fingerprint())
}
