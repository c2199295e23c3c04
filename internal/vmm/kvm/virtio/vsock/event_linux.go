package vsock

import (
	"fmt"
	"sync"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

// eventReset is VIRTIO_VSOCK_EVENT_TRANSPORT_RESET (5.10.6.7): all streams are gone, and
// the address of the guest may be another.
const eventReset = 0

const eventSize = 4

// events is the queue of events. The only one is that of a restored device. Linux ends all
// streams when it takes the event, new ones too; so there are none before that: the driver
// gives a buffer back when it has taken the event which was in it. Until then the rx queue
// is held.
type events struct {
	mu sync.Mutex
	// isPending is that there is one to be sent, and isSent that it was, but the driver has
	// not taken it.
	isPending, isSent bool
	// spare is how many buffers there were besides when it was sent.
	spare int
}

func (e *events) reset() {
	e.mu.Lock()
	e.isPending, e.isSent = false, false
	e.mu.Unlock()
}

// isOpen reports whether the driver has yet to take one.
func (e *events) isOpen() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.isPending || e.isSent
}

// runEvents takes all buffers, so as to see when there are more, and puts them back in the
// end.
func (d *Device) runEvents(q *virtio.Queue) {
	taken := 0
	var first, c virtio.Chain
	q.Run(func() error {
		for {
			next := &c
			if taken == 0 {
				next = &first
			}
			ok, err := q.Pop(next)
			if err != nil {
				return err
			}
			if ok {
				taken++
				continue
			}
			isSent, isTaken, err := d.sendEvent(q, &first, taken)
			if isTaken {
				d.release()
			}
			if !isSent || err != nil {
				return err
			}
			taken--
		}
	})
	for range taken {
		q.Undo()
	}
}

// sendEvent uses the first of the buffers that there are for the event, if there is one to
// be sent, or finds that the driver has taken the one before.
func (d *Device) sendEvent(q *virtio.Queue, first *virtio.Chain, taken int) (isSent, isTaken bool, err error) {
	e := &d.events
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.isPending && taken > 0:
		if size(first.Writable) < eventSize {
			return false, false, fmt.Errorf("%w: a buffer of %d bytes for events", virtio.ErrQueue, size(first.Writable))
		}
		scatter(first.Writable, []byte{eventReset, 0, 0, 0})
		e.isPending, e.isSent, e.spare = false, true, taken-1
		q.Push(first.Head, eventSize)
		q.Signal()
		return true, false, nil
	case e.isSent && taken > e.spare:
		e.isSent = false
		return false, true, nil
	}
	return false, false, nil
}

// release lets packets go to the guest.
func (d *Device) release() {
	d.rx.mu.Lock()
	defer d.rx.mu.Unlock()
	d.rx.isHeld = false
	d.pump()
}
