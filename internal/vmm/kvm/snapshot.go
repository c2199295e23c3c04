package kvm

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
)

// saver is a machine that can be saved.
type saver interface {
	save(ctx context.Context, file *os.File) error
}

// Save writes a machine of this engine, which is paused, to an empty regular file, open
// for writing and reading, from which [Engine.Restore] makes machines like it. The machine
// stays paused, and may go on or be killed. After an error, the file holds no machine.
//
// Disks are not part of it: who needs them as they were copies them before the machine
// goes on. When ctx ends, Save returns; but the VMM writes on for a while. The file's
// pages count as the VMM's memory until the host has written them to a disk; so it should
// not be one that is kept in memory (tmpfs).
//
// Save a machine whose agent has answered: one that is about to greet the host could not
// do so where it is restored.
func Save(ctx context.Context, m vmm.Machine, file *os.File) error {
	s, ok := m.(saver)
	if !ok {
		return &protocol.Error{
			Kind: protocol.KindUnsupported, Op: "save the machine", Err: fmt.Errorf("it is not one of the engine %s", Name),
		}
	}
	return s.save(ctx, file)
}

// Restore starts a machine that goes on from what Save has written, as often as it is
// asked to. spec describes the same machine: CPUs, memory, MAC address, and disks of the
// same sizes and serial numbers, whose content is what it was. Its kernel and initrd are
// not read.
//
// The guest finds that the connections between it and the host have ended; its agent takes
// new entropy from the host, and then greets it anew, so that its portal can be used. Its
// clock has stood still: who restores a machine sets it. What programs in it have drawn or
// derived from random numbers before is the same in all machines.
func (Engine) Restore(ctx context.Context, spec vmm.Spec, file *os.File, plan jail.Plan) (vmm.Machine, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if file == nil {
		return nil, &protocol.Error{Kind: protocol.KindInternal, Op: "start the virtual machine", Err: errors.New("no state given")}
	}
	return start(ctx, spec, plan, device, file)
}
