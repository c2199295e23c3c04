// Command bench measures what must be fast or small, and prints a table of
// medians. What is compared is measured in turn in the same run, so that a busy
// machine slows both: the ratios are what counts.
//
//	go run ./test/bench [-runs 11] [-only stream] [-rootfs debian.tar] [bin/boxlite]
//
// It needs what boxes need, and the Go toolchain. -rootfs names a tar of a root
// filesystem for the conversion to a root disk; `make bench` gives it a Debian.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/boxlite-go/boxlite"
)

// bench is one run of the benchmarks.
type bench struct {
	runs    int
	binary  string // the CLI
	rootfs  string // a tar
	home    string // for boxes and images
	scratch string
}

func main() {
	b := &bench{}
	flatten := flag.String("flatten", "", "convert this tar, print the seconds it took, and end (for the benchmark itself)")
	only := flag.String("only", "", "measure nothing but this: version, start, jail, command, stream, many, files, stack, network, connections, secret, list, image or size")
	flag.IntVar(&b.runs, "runs", 11, "how often to measure each thing")
	flag.StringVar(&b.rootfs, "rootfs", "", "tar of a root filesystem")
	flag.Parse()
	b.binary = "bin/boxlite"
	if flag.NArg() > 0 {
		b.binary = flag.Arg(0)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *flatten != "" {
		err = flattenOnce(ctx, *flatten)
	} else {
		err = b.run(ctx, *only)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, only string) error {
	var err error
	if b.scratch, err = os.MkdirTemp("", "boxlite-bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.scratch)
	b.home = b.scratch + "/home"
	fmt.Println("| what | measured | compared with | bar | |")
	fmt.Println("|---|---|---|---|---|")
	for _, m := range []struct {
		name    string
		measure func(context.Context) error
	}{
		{"version", b.version},
		{"start", b.start},
		{"jail", b.jail},
		{"command", b.command},
		{"stream", b.stream},
		{"many", b.many},
		{"files", b.files},
		{"stack", b.stack},
		{"network", b.network},
		{"connections", b.connections},
		{"secret", b.secret},
		{"list", b.list},
		{"image", b.image},
		{"size", b.size},
	} {
		if only != "" && only != m.name {
			continue
		}
		if err := m.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

// box starts a box that is gone when stop is called, if not before.
func (b *bench) box(ctx context.Context) (box *boxlite.Box, stop func(), err error) {
	rt, err := boxlite.Open(boxlite.Options{Home: b.home, ShimPath: b.binary})
	if err != nil {
		return nil, nil, err
	}
	stop = func() { _ = rt.Close() } // which stops the box
	if box, err = rt.Create(ctx, boxlite.BoxSpec{AutoRemove: true}); err == nil {
		err = box.Start(ctx)
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return box, stop, nil
}

// row prints one line of the table. What has the bar "-" is only told.
func row(what, measured, with, bar string, met bool) {
	verdict := "met"
	switch {
	case bar == "-":
		verdict = ""
	case !met:
		verdict = "**not met**"
	}
	fmt.Printf("| %s | %s | %s | %s | %s |\n", what, measured, with, bar, verdict)
}

// timed returns how long do takes.
func timed(do func() error) (time.Duration, error) {
	began := time.Now()
	err := do()
	return time.Since(began), err
}

func median(durations []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(durations))
	return sorted[len(sorted)/2]
}

// inTurn measures a and b alternately, after one unmeasured round of each, and
// returns their medians.
func inTurn(runs int, a, b func() (time.Duration, error)) (medianA, medianB time.Duration, err error) {
	var as, bs []time.Duration
	for i := range runs + 1 {
		x, err := a()
		if err != nil {
			return 0, 0, err
		}
		y, err := b()
		if err != nil {
			return 0, 0, err
		}
		if i > 0 {
			as, bs = append(as, x), append(bs, y)
		}
	}
	return median(as), median(bs), nil
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }
