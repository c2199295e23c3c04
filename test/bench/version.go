package main

import (
	"context"
	"os/exec"
	"time"

	"github.com/boxlite-go/boxlite/test/measure"
)

// version measures how long the CLI takes to begin: `boxlite version`, beside a
// program that does nothing. Both are short, so they are measured more often.
func (b *bench) version(ctx context.Context) error {
	const runs = 21
	run := func(name string, args ...string) func() (time.Duration, error) {
		return func() (time.Duration, error) {
			return measure.Timed(func() error { return exec.CommandContext(ctx, name, args...).Run() })
		}
	}
	ours, nothing, err := measure.InTurn(runs, run(b.binary, "version"), run("/bin/true"))
	if err != nil {
		return err
	}
	measure.Row("`boxlite version`", ms(ours), "`/bin/true`, "+ms(nothing), "≤ 30 ms", ours <= 30*time.Millisecond)
	return nil
}
