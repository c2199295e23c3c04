package guest

import (
	"context"
	"sync"
)

// tally counts what is under way, and lets others wait until nothing is.
type tally struct {
	mu    sync.Mutex
	count int
	zero  chan struct{} // closed while count is 0
}

func newTally() *tally {
	t := &tally{zero: make(chan struct{})}
	close(t.zero)
	return t
}

func (t *tally) add() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == 0 {
		t.zero = make(chan struct{})
	}
	t.count++
}

func (t *tally) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count--; t.count == 0 {
		close(t.zero)
	}
}

// wait returns when the count is 0, or when ctx ends.
func (t *tally) wait(ctx context.Context) {
	t.mu.Lock()
	zero := t.zero
	t.mu.Unlock()
	select {
	case <-zero:
	case <-ctx.Done():
	}
}
