package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/test/measure"
)

// roundTrips is how many bytes go through a command, one after another.
const roundTrips = 200

// portal compares what commands read and write.
func (b *bench) portal(ctx context.Context) error {
	boxes, stop, err := b.boxes(ctx)
	if err != nil {
		return err
	}
	defer stop()
	took, err := inTurn(b.runs, func(i int) (time.Duration, error) { return roundTrip(ctx, boxes[i]) })
	if err != nil {
		return err
	}
	better(ms, "portal: round trip of one byte through `cat`", took)
	took, err = inTurn(b.runs, func(i int) (time.Duration, error) { return b.out(ctx, boxes[i]) })
	if err != nil {
		return err
	}
	better(b.speed, b.megabytes("portal: %d MiB out of the guest"), took)
	took, err = inTurn(b.runs, func(i int) (time.Duration, error) { return b.in(ctx, boxes[i]) })
	if err != nil {
		return err
	}
	better(b.speed, b.megabytes("portal: %d MiB into the guest"), took)
	return nil
}

func (b *bench) megabytes(format string) string { return fmt.Sprintf(format, b.bytes>>20) }

// better prints a row of something in which we are to be better than QEMU.
func better(print func(time.Duration) string, what string, took [2]time.Duration) {
	ratio := float64(took[1]) / float64(took[0])
	measure.Row(what, print(took[0]), fmt.Sprintf("QEMU %s: %.2f × as fast", print(took[1]), ratio), "≥ 1.0 ×", ratio >= 1)
}

// roundTrip returns the median of how long a byte takes to a command and back.
func roundTrip(ctx context.Context, box *boxlite.Box) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cat := box.Command("cat")
	in, err := cat.StdinPipe()
	if err != nil {
		return 0, err
	}
	out, err := cat.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cat.Start(ctx); err != nil {
		return 0, err
	}
	var took []time.Duration
	for range roundTrips {
		d, err := measure.Timed(func() error {
			var p [1]byte
			if _, err := in.Write(p[:]); err != nil {
				return err
			}
			_, err := io.ReadFull(out, p[:])
			return err
		})
		if err != nil {
			return 0, err
		}
		took = append(took, d)
	}
	if err := in.Close(); err != nil {
		return 0, err
	}
	return measure.Median(took), cat.Wait()
}

// out has a guest write.
func (b *bench) out(ctx context.Context, box *boxlite.Box) (time.Duration, error) {
	var n measure.Counter
	d, err := measure.Timed(func() error {
		c := box.Command("head", "-c", strconv.FormatInt(b.bytes, 10), "/dev/zero")
		c.Stdout = &n
		return c.Run(ctx)
	})
	if err == nil && int64(n) != b.bytes {
		err = fmt.Errorf("%d bytes came of %d", n, b.bytes)
	}
	return d, err
}

// in has a guest read.
func (b *bench) in(ctx context.Context, box *boxlite.Box) (time.Duration, error) {
	return measure.Timed(func() error {
		c := box.Command("sh", "-c", "cat >/dev/null")
		c.Stdin = io.LimitReader(zeroes{}, b.bytes)
		return c.Run(ctx)
	})
}

// zeroes has no end.
type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { return len(p), nil }

// disk compares how fast guests read their disks, which are in the host's cache.
func (b *bench) disk(ctx context.Context) error {
	boxes, stop, err := b.boxes(ctx)
	if err != nil {
		return err
	}
	defer stop()
	dd := func(i int, args ...string) error {
		out, err := boxes[i].Command("dd", append(args, "bs=1M")...).CombinedOutput(ctx)
		if err != nil {
			err = fmt.Errorf("dd: %w: %s", err, out)
		}
		return err
	}
	for i := range boxes {
		if err := dd(i, "if=/dev/zero", "of=/file", "count="+strconv.FormatInt(b.bytes>>20, 10), "conv=fsync"); err != nil {
			return err
		}
	}
	took, err := inTurn(b.runs, func(i int) (time.Duration, error) {
		return measure.Timed(func() error { return dd(i, "if=/file", "of=/dev/null", "iflag=direct") })
	})
	if err != nil {
		return err
	}
	better(b.speed, b.megabytes("sequential read of %d MiB in the guest"), took)
	return nil
}
