package guest

import (
	"syscall"
	"time"
)

// killDelay is how long a command that has run out of time may take to end after
// SIGTERM, before SIGKILL.
const killDelay = 2 * time.Second

// endAfter ends a command that runs longer than limit, and all of its process
// group: by SIGTERM, and killDelay later by SIGKILL.
func (e *execution) endAfter(limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-e.child.Done():
		return
	case <-timer.C:
	}
	e.timedOut.Store(true)
	e.child.EndGroup() // what survives its leader
	if e.child.SignalGroup(syscall.SIGTERM) != nil {
		return // it has just ended
	}
	timer.Reset(killDelay)
	select {
	case <-e.child.Done():
	case <-timer.C:
		_ = e.child.SignalGroup(syscall.SIGKILL) // or it has just ended
	}
}
