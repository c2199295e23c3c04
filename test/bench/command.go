package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/boxlite-go/boxlite"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
	"github.com/boxlite-go/boxlite/internal/shim"
	"github.com/boxlite-go/boxlite/test/measure"
)

// spawns is how many commands a shell in the guest starts to measure one.
const spawns = 40

// command compares a command on a running box with what it can't do without: the
// command's fork and exec in the guest, and one round trip to the agent. On the
// same box it looks at the shim's memory.
func (b *bench) command(ctx context.Context) error {
	box, stop, err := b.box(ctx)
	if err != nil {
		return err
	}
	defer stop()
	info, err := box.Info(ctx)
	if err != nil {
		return err
	}
	client, err := shim.Connect(ctx, info.HostDir)
	if err != nil {
		return err
	}
	defer client.Close()

	run := func() (time.Duration, error) {
		return measure.Timed(func() error { return box.Command("/bin/true").Run(ctx) })
	}
	guest := boxlitev1.NewGuestClient(client.Guest())
	floor := func() (time.Duration, error) {
		forkExec, err := forkExec(ctx, box)
		if err != nil {
			return 0, err
		}
		ping, err := measure.Timed(func() error {
			_, err := guest.Ping(ctx, &boxlitev1.PingRequest{})
			return rpc.FromStatus(err)
		})
		return forkExec + ping, err
	}
	whole, least, err := measure.InTurn(b.runs, run, floor)
	if err != nil {
		return err
	}
	ratio := float64(whole) / float64(least)
	measure.Row("`Command(\"true\").Run` on a running box", ms(whole),
		fmt.Sprintf("fork and exec in the guest + Ping %s: %.2f ×", ms(least), ratio), "≤ 2 ×, < 40 ms", ratio <= 2 && whole < 40*time.Millisecond)

	rss, err := shimRSS(info.HostDir)
	if err != nil {
		return err
	}
	measure.Row("shim's memory", fmt.Sprintf("%.1f MB RSS", rss), "-", "≤ 40 MB", rss <= 40)
	return box.Stop(ctx)
}

// forkExec measures in the guest how long one command takes to start and end:
// a shell starts many, less what the shell takes without.
func forkExec(ctx context.Context, box *boxlite.Box) (time.Duration, error) {
	loop := func(n int) (time.Duration, error) {
		script := fmt.Sprintf("i=0; while [ $i -lt %d ]; do /bin/true; i=$((i+1)); done", n)
		return measure.Timed(func() error { return box.Command("/bin/sh", "-c", script).Run(ctx) })
	}
	with, err := loop(spawns)
	if err != nil {
		return 0, err
	}
	without, err := loop(0)
	return (with - without) / spawns, err
}

// shimRSS returns the resident memory of a box's shim in megabytes.
func shimRSS(dir string) (float64, error) {
	pid, err := shim.PID(dir)
	if err != nil {
		return 0, err
	}
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			return float64(kib) * 1024 / 1e6, err
		}
	}
	return 0, fmt.Errorf("no VmRSS of process %d", pid)
}
