package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/test/measure"
)

const (
	// atOnce is how many commands run at once on one box.
	atOnce = 500
	// inAll is how many commands it has run when the shim's memory is looked at
	// again.
	inAll = 10_000
)

// many runs hundreds of commands at once on a box, each with output and an exit
// code of its own, and looks at what thousands of them leave in the shim's memory.
func (b *bench) many(ctx context.Context) error {
	box, stop, err := b.box(ctx)
	if err != nil {
		return err
	}
	defer stop()
	info, err := box.Info(ctx)
	if err != nil {
		return err
	}
	var rounds []time.Duration
	var before float64
	for i := range inAll / atOnce {
		took, err := measure.Timed(func() error { return runAtOnce(ctx, box, atOnce) })
		if err != nil {
			return err
		}
		rounds = append(rounds, took)
		if i == 0 { // the first commands fill caches and pools
			if before, err = shimRSS(info.HostDir); err != nil {
				return err
			}
		}
	}
	rate := atOnce / measure.Median(rounds).Seconds()
	measure.Row(fmt.Sprintf("%d commands at once, all right", atOnce), fmt.Sprintf("%.0f per second", rate), "-", "≥ 40 per second", rate >= 40)
	after, err := shimRSS(info.HostDir)
	if err != nil {
		return err
	}
	const mib = 1.048576 // in megabytes
	measure.Row(fmt.Sprintf("shim's memory after %d commands", inAll), fmt.Sprintf("%.1f MB", after),
		fmt.Sprintf("after %d: %.1f MB, %+.1f MB", atOnce, before, after-before), "grows ≤ 2 MiB", after-before <= 2*mib)
	return box.Stop(ctx)
}

// runAtOnce runs n commands at the same time, and checks what each says.
func runAtOnce(ctx context.Context, box *boxlite.Box, n int) error {
	var commands errgroup.Group
	for i := range n {
		commands.Go(func() error {
			out, err := box.Command("echo", "command", fmt.Sprint(i)).Output(ctx)
			if want := fmt.Sprintf("command %d\n", i); err == nil && string(out) != want {
				err = fmt.Errorf("command %d said %q", i, out)
			}
			return err
		})
	}
	return commands.Wait()
}
