//go:build !linux

package kvm

import (
	"context"
	"os"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/kvmprobe"
)

// device is not there.
const device = ""

// start says why it can't.
func start(ctx context.Context, _ vmm.Spec, _ jail.Plan, _ string, _ *os.File) (vmm.Machine, error) {
	return nil, kvmprobe.Probe(ctx)
}
