// Package console is the guest's console (5.3), for what it says: one port without
// input, which Linux has as hvc0.
//
//	guest ── queue 1 ──▶ pending text ──▶ output
//
// The guest's text is copied as soon as it is there, and its buffers go back: Linux's
// driver spins until they do. What is pending is written to the output by a goroutine of
// its own, which exists while there is something to write. So an output that is slow
// makes the guest wait once there is too much, but neither Stop nor a vCPU.
package console

import (
	"io"
	"log/slog"
	"sync"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

const (
	queueSize = 128
	output    = 1 // the queue of the port's output (5.3.2)

	// pendingLimit is how much text waits for the output before the guest does.
	pendingLimit = 256 << 10
	// bufferLimit is how much of one buffer is looked at. Linux's have a page or less.
	bufferLimit = 1 << 20
)

// Device is a console. It implements [virtio.Device].
type Device struct {
	out io.Writer
	log *slog.Logger
	wg  sync.WaitGroup // of the goroutine between Start and Stop

	mu        sync.Mutex
	changed   sync.Cond // of all that follows
	pending   []byte    // text for the output
	isWriting bool      // there is a goroutine that writes
	isFailed  bool      // the output is: all text is dropped
	stopping  bool

	spare []byte // of the goroutine that writes
}

// New returns a console whose text goes to out, with one Write for all that is there at
// the time. If out fails, it is not used any more.
func New(out io.Writer, log *slog.Logger) *Device {
	d := &Device{out: out, log: log}
	d.changed.L = &d.mu
	return d
}

// ID implements [virtio.Device].
func (*Device) ID() uint32 { return virtio.IDConsole }

// Features implements [virtio.Device]: there are none, so there is one port, of no size.
func (*Device) Features() uint64 { return 0 }

// QueueSizes implements [virtio.Device].
func (*Device) QueueSizes() []uint16 { return []uint16{queueSize, queueSize} }

// ReadConfig implements [virtio.Device]. All fields belong to features that are not
// offered (5.3.4).
func (*Device) ReadConfig(_ uint32, p []byte) { clear(p) }

// WriteConfig implements [virtio.Device].
func (*Device) WriteConfig(uint32, []byte) {}

// Start implements [virtio.Device]. The queue for input is left alone.
func (d *Device) Start(_ uint64, queues []*virtio.Queue) error {
	d.mu.Lock()
	d.stopping = false
	d.mu.Unlock()
	if q := queues[output]; q != nil {
		d.wg.Go(func() {
			var c virtio.Chain
			q.Run(func() error { return d.take(q, &c) })
		})
	}
	return nil
}

// Stop implements [virtio.Device]. It does not wait for the output.
func (d *Device) Stop() {
	d.mu.Lock()
	d.stopping = true
	d.changed.Broadcast()
	d.mu.Unlock()
	d.wg.Wait()
}

// Reset implements [virtio.Device]. What the guest has said before is written.
func (*Device) Reset() {}

// Save implements [virtio.Device]. There is nothing: pending text is written here, even
// if the guest goes on elsewhere.
func (*Device) Save() ([]byte, error) { return nil, nil }

// Restore implements [virtio.Device].
func (*Device) Restore([]byte) error { return nil }

// Flush waits until all text that was taken from the guest is written, or the output has
// failed.
func (d *Device) Flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.isWriting {
		d.changed.Wait()
	}
}

// take moves text from available buffers to the pending text, one queue full at most.
func (d *Device) take(q *virtio.Queue, c *virtio.Chain) error {
	defer q.Signal()
	for range q.Size() {
		ok, err := d.takeOne(q, c)
		if err != nil || !ok {
			return err
		}
	}
	return nil
}

func (d *Device) takeOne(q *virtio.Queue, c *virtio.Chain) (ok bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.pending) >= pendingLimit && !d.stopping {
		q.Signal() // for what was given back so far
		d.changed.Wait()
	}
	if d.stopping {
		return false, nil
	}
	if ok, err = q.Pop(c); err != nil || !ok {
		return false, err
	}
	room := bufferLimit
	for _, piece := range c.Readable {
		piece = piece[:min(len(piece), room)]
		room -= len(piece)
		if !d.isFailed {
			d.pending = append(d.pending, piece...)
		}
	}
	q.Push(c.Head, 0)
	if len(d.pending) > 0 && !d.isWriting {
		d.isWriting = true
		go d.write()
	}
	return true, nil
}

// write writes pending text until there is no more.
func (d *Device) write() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.pending) > 0 {
		text := d.pending
		d.pending = d.spare[:0]
		d.changed.Broadcast()
		d.mu.Unlock()
		_, err := d.out.Write(text)
		d.mu.Lock()
		d.spare = text
		if err != nil {
			d.log.Warn("the guest's console is lost from here on", "err", err)
			d.isFailed, d.pending, d.spare = true, nil, nil
		}
	}
	d.isWriting = false
	d.changed.Broadcast()
}
