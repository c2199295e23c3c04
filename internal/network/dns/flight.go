package dns

import (
	"context"
	"sync"
)

// flights lets those who ask the same question at the same time share one exchange. Unlike
// singleflight's, an exchange goes on for as long as anybody waits for it, and no longer.
type flights struct {
	mu    sync.Mutex
	calls map[question]*call
}

type call struct {
	cancel  context.CancelFunc
	waiting int           // guarded by flights.mu
	done    chan struct{} // closed when result and err are set
	result  result
	err     error
}

// do returns what work returns, which is run for the first who asks.
func (f *flights) do(ctx context.Context, q question, work func(context.Context) (result, error)) (result, error) {
	f.mu.Lock()
	c := f.calls[q]
	if c == nil {
		c = &call{done: make(chan struct{})}
		var shared context.Context
		shared, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
		if f.calls == nil {
			f.calls = map[question]*call{}
		}
		f.calls[q] = c
		go func() {
			c.result, c.err = work(shared)
			f.mu.Lock()
			f.remove(q, c)
			f.mu.Unlock()
			close(c.done)
		}()
	}
	c.waiting++
	f.mu.Unlock()

	select {
	case <-c.done:
	case <-ctx.Done():
	}
	f.mu.Lock()
	c.waiting--
	isLast := c.waiting == 0
	if isLast {
		f.remove(q, c)
	}
	f.mu.Unlock()
	if isLast {
		c.cancel()
		<-c.done
	}
	if err := ctx.Err(); err != nil {
		return result{}, err
	}
	return c.result, c.err
}

// remove makes the next who asks begin anew. The lock must be held.
func (f *flights) remove(q question, c *call) {
	if f.calls[q] == c {
		delete(f.calls, q)
	}
}
