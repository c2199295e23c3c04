package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/boxlite-go/boxlite/internal/network/link"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

// errSmall is that a buffer can't even hold a header (5.1.6.3.1).
var errSmall = errors.New("a buffer to receive is too small")

// receiver passes frames to the guest. But for the gate, all is of its one goroutine.
type receiver struct {
	link    link.Endpoint
	ended   func(error)
	dropped atomic.Uint64

	gate  gate
	begin sync.Once
	wg    sync.WaitGroup

	// queue is the guest's while the receiver is inside of the gate, or nil.
	queue    *virtio.Queue
	features uint64
	pushed   bool // since the last Signal

	// What was taken from the queue for the frame that is next: buffers with how much each
	// holds, and the pieces of all.
	chain   virtio.Chain
	buffers []virtio.Used
	pieces  [][]byte
	room    int
}

func (r *receiver) init(l link.Endpoint, ended func(error)) {
	r.link, r.ended = l, ended
	r.gate.init()
}

func (r *receiver) start(features uint64, q *virtio.Queue) {
	r.gate.open(features, q)
	r.begin.Do(func() { r.wg.Go(r.run) })
}

func (r *receiver) stop() {
	if r.gate.shut() {
		r.wg.Wait()
	}
}

// close ends the link. If the device runs, it is stop that waits for the goroutine, which
// may wait for the guest.
func (r *receiver) close() error {
	running := r.gate.close()
	err := r.link.Close()
	r.begin.Do(func() {}) // never again
	if !running {
		r.wg.Wait()
	}
	return err
}

// run receives until the link ends. All frames that are there at one time cost one
// interrupt.
func (r *receiver) run() {
	for {
		err := r.link.Receive(r.deliver)
		if r.queue != nil {
			r.signal()
			r.leave(false)
		}
		if err != nil {
			r.ended(err)
			return
		}
	}
}

// deliver passes one frame to the guest, and waits until that is possible. The goroutine
// stays inside of the gate, as there may be more frames.
func (r *receiver) deliver(frame []byte) {
	for {
		if r.queue == nil {
			if r.queue, r.features = r.gate.enter(); r.queue == nil {
				return // closed
			}
			r.queue.Disarm()
		}
		ok, err := r.collect(headerSize + len(frame))
		switch {
		case err == nil && ok:
			r.write(frame)
			return
		case err == nil:
			r.putBack()
			r.dropped.Add(1)
			return
		}
		r.putBack()
		r.signal()
		r.leave(true)
	}
}

func (r *receiver) signal() {
	if r.pushed {
		r.queue.Signal()
		r.pushed = false
	}
}

func (r *receiver) leave(useless bool) {
	r.queue = nil
	r.gate.leave(useless)
}

// collect takes buffers until they hold size bytes, and waits for the guest to have them.
// It reports false if they never will. After an error, which the device has been told of,
// the queue is of no use until the device is started again.
func (r *receiver) collect(size int) (bool, error) {
	for r.room < size {
		ok, err := r.queue.Pop(&r.chain)
		if err != nil {
			r.queue.Fail(err)
			return false, err
		}
		if !ok {
			if len(r.buffers) == r.queue.Size() {
				return false, nil
			}
			if err := r.wait(); err != nil {
				return false, err
			}
			continue
		}
		if err := r.add(); err != nil {
			r.queue.Fail(err)
			return false, err
		}
		if r.features&FeatureMergeable == 0 {
			return r.room >= size, nil
		}
	}
	return true, nil
}

// add keeps the buffer that was taken last.
func (r *receiver) add() error {
	room := 0
	for _, p := range r.chain.Writable {
		room += len(p)
	}
	if len(r.buffers) == r.queue.Size() {
		return fmt.Errorf("%w: more are available than the queue has", virtio.ErrQueue)
	}
	if room < headerSize {
		return fmt.Errorf("%w: %d bytes", errSmall, room)
	}
	r.buffers = append(r.buffers, virtio.Used{Head: r.chain.Head, Written: uint32(min(room, 1<<32-1))})
	r.pieces = append(r.pieces, r.chain.Writable...)
	r.room += room
	return nil
}

// wait returns when the guest may have made buffers available.
func (r *receiver) wait() error {
	r.signal() // it may wait for what it has got
	if r.queue.Arm() {
		return nil
	}
	err := r.queue.Wait()
	r.queue.Disarm()
	return err
}

// putBack makes all buffers available again that were taken.
func (r *receiver) putBack() {
	for range r.buffers {
		r.queue.Undo()
	}
	r.forget()
}

func (r *receiver) forget() {
	r.buffers, r.pieces, r.room = r.buffers[:0], r.pieces[:0], 0
}

// write gives the collected buffers back with a frame (5.1.6.4). The guest sees all of
// them at once: Linux drops the frame if it finds less than the header says.
func (r *receiver) write(frame []byte) {
	var header [headerSize]byte
	if r.features&FeatureGuestChecksum != 0 {
		header[0] = dataValid
	}
	binary.LittleEndian.PutUint16(header[headerBuffers:], uint16(len(r.buffers)))
	scatter(scatter(r.pieces, header[:]), frame)
	left := uint32(headerSize + len(frame))
	for i := range r.buffers {
		b := &r.buffers[i]
		b.Written = min(b.Written, left)
		left -= b.Written
	}
	r.queue.PushAll(r.buffers)
	r.pushed = true
	r.forget()
}

// scatter copies content to pieces that have the room, and returns what is left of them.
// It changes the first that is not full.
func scatter(pieces [][]byte, content []byte) [][]byte {
	for len(content) > 0 {
		n := copy(pieces[0], content)
		content = content[n:]
		if pieces[0] = pieces[0][n:]; len(pieces[0]) == 0 {
			pieces = pieces[1:]
		}
	}
	return pieces
}
