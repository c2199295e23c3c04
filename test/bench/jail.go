package main

import (
	"context"
	"fmt"
	"time"

	"github.com/boxlite-go/boxlite/test/measure"
)

// jail measures what the jail adds to a start.
func (b *bench) jail(ctx context.Context) error {
	run := func(security string) func() (time.Duration, error) {
		return func() (time.Duration, error) {
			return measure.Timed(func() error { return b.cli(ctx, "run", "--rm", "--security", security, "boxlite/base", "true") })
		}
	}
	with, without, err := measure.InTurn(b.runs, run("default"), run("off"))
	if err != nil {
		return err
	}
	measure.Row("what the jail adds to a start", ms(with-without), fmt.Sprintf("%s with, %s without", ms(with), ms(without)),
		"≤ 60 ms", with-without <= 60*time.Millisecond)
	return nil
}
