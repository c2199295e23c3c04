package network

import (
	"sync/atomic"

	"github.com/boxlite-go/boxlite/internal/network/link"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

// batch is how many frames are sent at once, at most: few enough for the guest to have
// its buffers back soon, many enough to make the cost of a system call small.
const batch = 32

// transmitter sends what the guest does.
type transmitter struct {
	link    link.Endpoint
	ended   func(error)
	dropped atomic.Uint64

	chains [batch]virtio.Chain
	frames []link.Frame
	used   []virtio.Used
}

func (t *transmitter) init(l link.Endpoint, ended func(error)) {
	t.link, t.ended = l, ended
	t.frames = make([]link.Frame, 0, batch)
	t.used = make([]virtio.Used, 0, batch)
}

// work sends available frames, one queue full at most.
func (t *transmitter) work(q *virtio.Queue) error {
	for sent := 0; sent < q.Size(); sent += len(t.used) {
		err := t.collect(q)
		if len(t.used) > 0 {
			t.send()
			q.PushAll(t.used)
			q.Signal()
		}
		if err != nil || len(t.used) == 0 {
			return err
		}
	}
	return nil
}

// collect takes a batch of available buffers, and finds the frames in them.
func (t *transmitter) collect(q *virtio.Queue) error {
	t.frames, t.used = t.frames[:0], t.used[:0]
	for i := range min(batch, q.Size()) {
		c := &t.chains[i]
		ok, err := q.Pop(c)
		if err != nil || !ok {
			return err
		}
		t.used = append(t.used, virtio.Used{Head: c.Head})
		if frame := strip(c.Readable); frame != nil {
			t.frames = append(t.frames, frame)
		} else {
			t.dropped.Add(1)
		}
	}
	return nil
}

// send sends the collected frames. When the link has ended, they are gone.
func (t *transmitter) send() {
	if len(t.frames) == 0 {
		return
	}
	if err := t.link.Send(t.frames); err != nil {
		t.dropped.Add(uint64(len(t.frames)))
		t.ended(err)
	}
	clear(t.frames)
}

// strip returns the frame behind the header, in the same pieces, or nil if it has a size
// that no frame has. The header has nothing to say: its fields are those of offloads that
// are not offered, or of checksums that nobody makes (5.1.6.2).
func strip(pieces [][]byte) link.Frame {
	skip := headerSize
	for len(pieces) > 0 && len(pieces[0]) <= skip {
		skip -= len(pieces[0])
		pieces = pieces[1:]
	}
	size := -skip
	for _, p := range pieces {
		// Each is at most 4 GiB, and so are all.
		size += len(p)
	}
	if size < minFrame || size > link.MaxFrame {
		return nil
	}
	pieces[0] = pieces[0][skip:]
	return pieces
}
