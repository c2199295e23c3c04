// Command kvmbench measures machines of the engine kvm beside those of QEMU on KVM, and
// prints a table of medians. Both are measured in turn in the same run, so that a busy
// host slows both: the ratios are what counts.
//
//	scripts/bench-kvm [-runs 5] [-only first] [-size 256] [-idle 30s]
//
// It is one static program that holds all that it needs, but for QEMU: where there is no
// KVM, it runs in the lab. Its guests are those of boxes, so nothing is compiled there.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm"
	"github.com/boxlite-go/boxlite/internal/vmm/qemu"
	"github.com/boxlite-go/boxlite/test/measure"
)

// bench is one run of the benchmarks.
type bench struct {
	runs    int
	bytes   int64         // that are streamed and read
	idle    time.Duration // how long an idle box is looked at
	scratch string
}

func main() {
	b := &bench{}
	only := flag.String("only", "", "measure nothing but this: boot, first, disk, portal or idle")
	flag.IntVar(&b.runs, "runs", 5, "how often to measure each thing")
	size := flag.Int64("size", 256, "how much to stream and read, in MiB")
	flag.DurationVar(&b.idle, "idle", 30*time.Second, "how long to look at an idle box")
	flag.Parse()
	b.bytes = *size << 20
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := b.run(ctx, *only); err != nil {
		fmt.Fprintln(os.Stderr, "kvmbench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, only string) error {
	var err error
	if b.scratch, err = os.MkdirTemp("", "kvmbench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.scratch)
	if only != "first" { // which needs no engine that runs real guests
		if err := b.engines(ctx); err != nil {
			return err
		}
	}
	fmt.Println("| what | measured | compared with | bar | |")
	fmt.Println("|---|---|---|---|---|")
	for _, m := range []struct {
		name    string
		measure func(context.Context) error
	}{
		{"first", b.first},
		{"boot", b.boot},
		{"portal", b.portal},
		{"disk", b.disk},
		{"idle", b.idleBoxes},
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

// names are the engines that are compared, ours first.
var names = [2]string{kvm.Name, qemu.Name}

// engines prints what runs the boxes of either engine, as `boxlite info` does: it must be
// KVM.
func (b *bench) engines(ctx context.Context) error {
	for _, name := range names {
		rt, err := b.open(name)
		if err != nil {
			return err
		}
		info, err := rt.Info(ctx)
		_ = rt.Close()
		switch {
		case err != nil:
			return err
		case info.Error != "":
			return fmt.Errorf("engine %s: %s", name, info.Error)
		}
		fmt.Printf("Engine: %s, accelerator %s, %s\n\n", info.Engine, info.Accelerator, info.Isolation.Machine)
		if info.Engine != name || info.Accelerator != "kvm" {
			return fmt.Errorf("engine %s can't be compared: it would be %s on %s: %s", name, info.Engine, info.Accelerator, info.Note)
		}
	}
	return nil
}

func (b *bench) open(engine string) (*boxlite.Runtime, error) {
	return boxlite.Open(boxlite.Options{Home: b.scratch + "/home", Engine: engine})
}

// box starts a box that is gone when stop is called.
func (b *bench) box(ctx context.Context, engine string) (box *boxlite.Box, stop func(), err error) {
	rt, err := b.open(engine)
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

// boxes starts a box of each engine.
func (b *bench) boxes(ctx context.Context) (boxes [2]*boxlite.Box, stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, stop := range stops {
			stop()
		}
	}
	for i, name := range names {
		box, stopOne, err := b.box(ctx, name)
		if err != nil {
			stop()
			return boxes, nil, err
		}
		boxes[i], stops = box, append(stops, stopOne)
	}
	return boxes, stop, nil
}

// inTurn measures both alternately, ours first, and returns their medians.
func inTurn(runs int, of func(i int) (time.Duration, error)) (medians [2]time.Duration, err error) {
	ours := func() (time.Duration, error) { return of(0) }
	theirs := func() (time.Duration, error) { return of(1) }
	medians[0], medians[1], err = measure.InTurn(runs, ours, theirs)
	return medians, err
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/1e6) }

func (b *bench) speed(d time.Duration) string {
	return fmt.Sprintf("%.0f MB/s", float64(b.bytes)/1e6/d.Seconds())
}
