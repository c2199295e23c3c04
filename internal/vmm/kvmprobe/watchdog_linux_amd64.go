package kvmprobe

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// watchdog acts when a thread has used more than limit of the processor without
// progress. Time that passes while others run does not count: a busy host is
// no broken one.
type watchdog struct {
	clock int32 // the thread's
	limit time.Duration
	act   func()

	mu    sync.Mutex
	since time.Duration // on the clock, when progress was made
	timer *time.Timer
	over  bool
}

func newWatchdog(thread int, limit time.Duration, act func()) *watchdog {
	// A thread's clock is its number, inverted, and two flags (linux/posix-timers.h).
	const perThread, scheduled = 4, 2
	w := &watchdog{clock: int32(^thread<<3 | perThread | scheduled), limit: limit, act: act}
	w.since = w.used()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(limit, w.check)
	return w
}

// used returns how much of the processor the thread has had.
func (w *watchdog) used() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(w.clock, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// note tells that progress was made.
func (w *watchdog) note() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = w.used()
}

func (w *watchdog) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	if left := w.limit - (w.used() - w.since); left > 0 {
		w.timer.Reset(max(left, time.Millisecond))
		return
	}
	w.act()
}

func (w *watchdog) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.timer.Stop()
}
