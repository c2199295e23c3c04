package block

import (
	"sync"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

// The driver is interrupted, if it wants to be, after so many requests that were done, or
// so many bytes that were moved, and whenever there is nothing more to do at once.
const (
	batchRequests = 16
	batchBytes    = 256 << 10
)

// taker takes requests from a queue. Buffers are taken from the queue by its goroutine
// only, and given back by workers as well, under a lock: neither side of the queue has
// anything of the other's.
type taker struct {
	device *Device
	queue  *virtio.Queue
	// spare is a request that is not in use, of the goroutine that takes.
	spare *request

	mu   sync.Mutex
	back sync.Cond // a request was given back
	free *request
	made int

	// unsignalled is how many requests were given back since the driver was interrupted
	// last, or could have been, by the goroutine that takes.
	unsignalled, unsignalledBytes int
}

// work takes all requests that there are.
func (t *taker) work() error {
	// Even if nothing is given back: of what was, before the machine was saved and
	// restored, the driver may not have heard.
	defer t.signal()
	for !t.device.isStopping.Load() {
		r := t.unused()
		ok, err := t.queue.Pop(&r.chain)
		if err != nil || !ok {
			return err
		}
		if err := r.parse(); err != nil {
			return err
		}
		status := t.device.prepare(r)
		if status == statusPending {
			status = t.device.try(r)
		}
		if status == statusPending {
			t.spare = nil
			t.device.pool.add(r)
			continue
		}
		t.finish(r, status)
	}
	return nil
}

// unused returns a request to be taken. If there are as many as the queue has entries, it
// waits for one: a driver that has made more available than that breaks the rules, and
// gains nothing.
func (t *taker) unused() *request {
	if t.spare != nil {
		return t.spare
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free == nil && t.made < t.queue.Size() {
		t.made++
		t.spare = &request{taker: t}
		return t.spare
	}
	for t.free == nil {
		t.signalLocked()
		t.back.Wait()
	}
	t.spare, t.free = t.free, t.free.next
	return t.spare
}

// finish gives back a request of the goroutine that takes, which goes on to use it.
func (t *taker) finish(r *request, status byte) {
	*r.result = status
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue.Push(r.chain.Head, r.written())
	t.unsignalled++
	t.unsignalledBytes += int(r.moved)
	if t.unsignalled >= batchRequests || t.unsignalledBytes >= batchBytes {
		t.signalLocked()
	}
}

// giveBack gives back a request of a worker.
func (t *taker) giveBack(r *request, status byte) {
	*r.result = status
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue.Push(r.chain.Head, r.written())
	t.signalLocked()
	r.next, t.free = t.free, r
	t.back.Signal()
}

func (t *taker) signal() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.signalLocked()
}

func (t *taker) signalLocked() {
	t.unsignalled, t.unsignalledBytes = 0, 0
	t.queue.Signal()
}
