package network

import (
	"sync"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

// gate lets one goroutine use a queue, only while the device runs.
type gate struct {
	mu      sync.Mutex
	changed sync.Cond // of all that follows

	queue    *virtio.Queue // nil when nobody may enter
	features uint64
	inside   bool
	running  bool // between open and shut
	closed   bool // for good
}

func (g *gate) init() { g.changed.L = &g.mu }

// open lets the queue be used, if there is one.
func (g *gate) open(features uint64, q *virtio.Queue) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queue, g.features, g.running = q, features, true
	g.changed.Broadcast()
}

// shut ends that, and waits until it is not used any more. It reports whether the gate is
// closed.
func (g *gate) shut() (closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queue, g.running = nil, false
	for g.inside {
		g.changed.Wait()
	}
	return g.closed
}

// close lets nobody enter any more, and reports whether the device runs.
func (g *gate) close() (running bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.changed.Broadcast()
	return g.running
}

// enter waits for a queue that may be used. After close there is none.
func (g *gate) enter() (*virtio.Queue, uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.queue == nil && !g.closed {
		g.changed.Wait()
	}
	if g.closed {
		return nil, 0
	}
	g.inside = true
	return g.queue, g.features
}

// leave ends what enter began. If the queue is of no use, nobody enters until the device
// is started again.
func (g *gate) leave(useless bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside = false
	if useless {
		g.queue = nil
	}
	g.changed.Broadcast()
}
