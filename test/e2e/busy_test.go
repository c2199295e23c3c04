package e2e

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
)

// TestStartOnABusyHost starts a box whose machine is stopped again and again, for longer than
// it runs in between, as happens where there is too much to do. Linux measures clocks when it
// begins, and must not be misled.
func TestStartOnABusyHost(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{})
	info, err := box.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stops := make(chan int)
	go func() { stops <- hamper(ctx, info.HostDir) }()
	err = box.Start(t.Context())
	cancel()
	if err != nil {
		t.Error(err)
	}
	if n := <-stops; n == 0 {
		t.Error("the machine was never stopped")
	}
	if out, err := box.Command("echo", "here").Output(t.Context()); err != nil || string(out) != "here\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

// hamper stops the machine of a box up to 150 times, as soon as there is one, and returns how
// many times it did. Then slow hosts have time for the rest.
func hamper(ctx context.Context, dir string) (stops int) {
	vmm := 0
	for vmm == 0 {
		if ctx.Err() != nil {
			return 0
		}
		vmm, _ = findVMM(ctx, dir) // fails while there is no shim
	}
	for stops < 150 && wait(ctx, 10*time.Millisecond) {
		if syscall.Kill(vmm, syscall.SIGSTOP) != nil {
			return stops
		}
		stops++
		// Longer than Linux measures, a tenth of a second.
		wait(ctx, 120*time.Millisecond)
		if syscall.Kill(vmm, syscall.SIGCONT) != nil {
			return stops
		}
	}
	return stops
}

// wait returns false if ctx has ended meanwhile.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
