package main

import (
	"context"
	"fmt"
	"time"

	"github.com/boxlite-go/boxlite/internal/shim"
	"github.com/boxlite-go/boxlite/test/measure"
)

// settled is after how long a box that nobody uses is idle.
const settled = 10 * time.Second

// What our VMM may take for itself.
const (
	vmmMemory = 16 << 20
	idleShare = 0.5 // percent of a core
)

// idleBoxes looks at what boxes take that do nothing, one at a time.
func (b *bench) idleBoxes(ctx context.Context) error {
	var found [2]idle
	for i, name := range names {
		var err error
		if found[i], err = b.idleBox(ctx, name); err != nil {
			return err
		}
	}
	ours, theirs := found[0], found[1]
	measure.Row("VMM's own memory, idle", mib(ours.private), fmt.Sprintf("QEMU %s; ours that is no program's text: %s", mib(theirs.private), mib(ours.dirty)),
		"≤ 16 MiB", ours.private <= vmmMemory)
	share := ours.vmm.share() + ours.shim.share()
	measure.Row("idle box, CPU time of VMM and shim", fmt.Sprintf("%.2f %% of a core", share),
		fmt.Sprintf("VMM %s, shim %s; with QEMU %s and %s", ours.vmm, ours.shim, theirs.vmm, theirs.shim),
		"< 0.5 %", share < idleShare)
	for i, f := range found {
		for _, g := range append(f.vmm.groups, f.shim.groups...) {
			measure.Row("wake-ups, "+names[i]+", "+g.name, fmt.Sprintf("%.2f per second", g.switches), fmt.Sprintf("%d threads, %.3f %% of a core", g.threads, g.share), "-", true)
		}
	}
	return nil
}

// idle is what was found of an idle box.
type idle struct {
	private, dirty int64 // bytes of the VMM that are not the guest's
	vmm, shim      activity
}

func (b *bench) idleBox(ctx context.Context, engine string) (idle, error) {
	box, stop, err := b.box(ctx, engine)
	if err != nil {
		return idle{}, err
	}
	defer stop()
	info, err := box.Info(ctx)
	if err != nil {
		return idle{}, err
	}
	pid, err := shim.PID(info.HostDir)
	if err != nil {
		return idle{}, err
	}
	vmm, err := vmmOf(pid)
	if err != nil {
		return idle{}, err
	}
	if err := pause(ctx, settled); err != nil {
		return idle{}, err
	}
	var f idle
	if f.private, f.dirty, err = ownMemory(vmm, int64(info.MemoryMiB)<<20); err != nil {
		return idle{}, err
	}
	var before, after [2]map[int]thread
	for i, pid := range []int{vmm, pid} {
		if before[i], err = threads(pid); err != nil {
			return idle{}, err
		}
	}
	began := time.Now()
	if err := pause(ctx, b.idle); err != nil {
		return idle{}, err
	}
	for i, pid := range []int{vmm, pid} {
		if after[i], err = threads(pid); err != nil {
			return idle{}, err
		}
	}
	took := time.Since(began)
	f.vmm, f.shim = compare("VMM", before[0], after[0], took), compare("shim", before[1], after[1], took)
	return f, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
