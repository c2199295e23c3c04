// Package random is a source of entropy for the guest (5.4): what the host's kernel gives
// is written straight into the guest's buffers.
package random

import (
	"crypto/rand"
	"sync"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

const (
	// queueSize is small: Linux has one buffer at a time.
	queueSize = 8
	// bufferLimit is how much of a buffer is filled. A device may fill only a part of it
	// (5.4.6.1), so no buffer takes long.
	bufferLimit = 64 << 10
)

// Device is a source of entropy. It implements [virtio.Device].
type Device struct {
	wg sync.WaitGroup
}

// New returns a source of entropy.
func New() *Device { return new(Device) }

// ID implements [virtio.Device].
func (*Device) ID() uint32 { return virtio.IDRandom }

// Features implements [virtio.Device]: there are none (5.4.3).
func (*Device) Features() uint64 { return 0 }

// QueueSizes implements [virtio.Device].
func (*Device) QueueSizes() []uint16 { return []uint16{queueSize} }

// ReadConfig implements [virtio.Device]: there is none (5.4.4).
func (*Device) ReadConfig(_ uint32, p []byte) { clear(p) }

// WriteConfig implements [virtio.Device].
func (*Device) WriteConfig(uint32, []byte) {}

// Start implements [virtio.Device].
func (d *Device) Start(_ uint64, queues []*virtio.Queue) error {
	if q := queues[0]; q != nil {
		d.wg.Go(func() {
			var c virtio.Chain
			q.Run(func() error { return serve(q, &c) })
		})
	}
	return nil
}

// Stop implements [virtio.Device].
func (d *Device) Stop() { d.wg.Wait() }

// Reset implements [virtio.Device].
func (*Device) Reset() {}

// Save implements [virtio.Device]: there is nothing.
func (*Device) Save() ([]byte, error) { return nil, nil }

// Restore implements [virtio.Device].
func (*Device) Restore([]byte) error { return nil }

// serve fills available buffers, one queue full at most.
func serve(q *virtio.Queue, c *virtio.Chain) error {
	defer q.Signal()
	for range q.Size() {
		ok, err := q.Pop(c)
		if err != nil || !ok {
			return err
		}
		q.Push(c.Head, fill(c.Writable))
	}
	return nil
}

// fill writes to the pieces of a buffer, and returns how much. What the driver would have
// us read is not looked at.
func fill(pieces [][]byte) (n uint32) {
	for _, piece := range pieces {
		piece = piece[:min(len(piece), bufferLimit-int(n))]
		_, _ = rand.Read(piece) // it never fails
		n += uint32(len(piece))
	}
	return n
}
