package shim

import (
	"context"
	"errors"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// watchClock tells of jumps of the host's clock, until ctx ends, and sleeps in between:
// the kernel ends a wait for a time of the clock (TFD_TIMER_CANCEL_ON_SET) when that was
// set, or the host has slept. It is called before the shim seals itself.
func watchClock(ctx context.Context) <-chan struct{} {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return lookForJumps(ctx)
	}
	never := unix.ItimerSpec{Value: unix.NsecToTimespec(math.MaxInt64)}
	if err := unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &never, nil); err != nil {
		_ = unix.Close(fd)
		return lookForJumps(ctx)
	}
	timer := os.NewFile(uintptr(fd), "timerfd")
	context.AfterFunc(ctx, func() { _ = timer.Close() })
	jumps := make(chan struct{}, 1)
	go func() {
		var expirations [8]byte
		for {
			_, err := timer.Read(expirations[:])
			if !errors.Is(err, unix.ECANCELED) {
				return // it was closed
			}
			tell(jumps)
		}
	}()
	return jumps
}
