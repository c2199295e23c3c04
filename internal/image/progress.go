package image

import "sync"

// reporter hands progress to a callback, from one goroutine at a time and not too
// often.
type reporter struct {
	mu       sync.Mutex
	callback func(Progress)
	last     map[string]int64 // by layer
}

func newReporter(callback func(Progress)) *reporter {
	return &reporter{callback: callback, last: make(map[string]int64)}
}

// minStep is how many bytes lie between two reports about a layer, at least.
const minStep = 256 << 10

func (r *reporter) report(p Progress) {
	if r.callback == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := p.Phase + p.Layer
	last, seen := r.last[key]
	if seen && p.Done < p.Total && p.Done >= last && p.Done-last < max(minStep, p.Total/200) {
		return
	}
	if seen && p.Done == p.Total && last == p.Total {
		return
	}
	r.last[key] = p.Done
	r.callback(p)
}
