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

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }
