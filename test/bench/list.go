package main

import (
	"context"
	"fmt"
	"time"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/test/measure"
)

// listed is how many boxes a home has in which they are listed.
const listed = 200

// list measures `boxlite ls -a` in a home with many boxes, beside the same in an
// empty one.
func (b *bench) list(ctx context.Context) error {
	full, empty := b.scratch+"/full", b.scratch+"/empty"
	rt, err := boxlite.Open(boxlite.Options{Home: full})
	if err != nil {
		return err
	}
	defer rt.Close()
	for range listed {
		if _, err := rt.Create(ctx, boxlite.BoxSpec{}); err != nil {
			return err
		}
	}
	in := func(home string) func() (time.Duration, error) {
		return func() (time.Duration, error) {
			return measure.Timed(func() error { return b.cli(ctx, "--home", home, "ls", "-a") })
		}
	}
	many, none, err := measure.InTurn(b.runs, in(full), in(empty))
	if err != nil {
		return err
	}
	measure.Row(fmt.Sprintf("`boxlite ls -a`, %d boxes", listed), ms(many),
		fmt.Sprintf("no box, %s: %.1f ×", ms(none), float64(many)/float64(none)), "≤ 50 ms", many <= 50*time.Millisecond)
	return nil
}
