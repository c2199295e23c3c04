package socket

import (
	"sync"
	"time"
)

// deadline ends what waits for it. The zero value never does.
type deadline struct {
	mu     sync.Mutex
	timer  *time.Timer
	passed chan struct{} // nil before it is first used
}

// done returns a channel that is closed when the deadline has passed. One that is set
// later ends who waits already, unless the old one has passed.
func (d *deadline) done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.channel()
}

func (d *deadline) channel() chan struct{} {
	if d.passed == nil {
		d.passed = make(chan struct{})
	}
	return d.passed
}

// set moves the deadline; the zero time is never.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop() // if it fires all the same, it finds another timer here
		d.timer = nil
	}
	if isClosed(d.channel()) {
		d.passed = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		close(d.passed)
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(left, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.timer == timer {
			d.timer = nil
			close(d.passed)
		}
	})
	d.timer = timer
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
