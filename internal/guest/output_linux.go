package guest

import (
	"context"
	"sync"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// keptOutput is how much of each stream is kept for those who attach later, and
// how far a reader may fall behind before the command has to wait for it.
const keptOutput = 1 << 20

// The streams of a command.
const (
	stdout = iota
	stderr
	streamCount
)

// output holds what a command has written, and how it ended. Writers wait for
// the slowest reader; without readers the oldest bytes are dropped.
type output struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	streams [streamCount]kept
	readers map[*reader]struct{}
	exited  *boxlitev1.ExitStatus
}

// kept is the end of a stream: the bytes from start to start+len(data).
type kept struct {
	data  []byte
	start uint64
}

func (k *kept) end() uint64 { return k.start + uint64(len(k.data)) }

// reader is one attachment's position in each stream.
type reader struct {
	out    *output
	offset [streamCount]uint64
}

func newOutput() *output {
	return &output{changed: make(chan struct{}), readers: make(map[*reader]struct{})}
}

func (o *output) notify() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// write appends p to a stream. It blocks while a reader has yet to take what
// would have to be dropped for it, and returns early when ctx ends.
func (o *output) write(ctx context.Context, stream int, p []byte) {
	for len(p) > 0 {
		o.mu.Lock()
		k := &o.streams[stream]
		free := keptOutput - len(k.data)
		if free < len(p) {
			o.drop(stream, len(p)-free)
			free = keptOutput - len(k.data)
		}
		n := min(free, len(p))
		k.data = append(k.data, p[:n]...)
		p = p[n:]
		if n > 0 {
			o.notify()
		}
		changed := o.changed
		o.mu.Unlock()
		if len(p) == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// drop forgets the oldest bytes of a stream, at least want if possible, but
// nothing that a reader has still to take. It drops a quarter of what is kept
// at once, so that moving the rest does not happen at each write.
func (o *output) drop(stream, want int) {
	k := &o.streams[stream]
	limit := k.end()
	for r := range o.readers {
		limit = min(limit, max(r.offset[stream], k.start))
	}
	n := min(max(want, keptOutput/4), int(limit-k.start), len(k.data))
	k.data = append(k.data[:0], k.data[n:]...)
	k.start += uint64(n)
}

// finish says how the command ended. Nothing may be written after it.
func (o *output) finish(status *boxlitev1.ExitStatus) {
	o.mu.Lock()
	o.exited = status
	o.notify()
	o.mu.Unlock()
}

// wait returns how the command ended.
func (o *output) wait(ctx context.Context) (*boxlitev1.ExitStatus, error) {
	for {
		o.mu.Lock()
		exited, changed := o.exited, o.changed
		o.mu.Unlock()
		if exited != nil {
			return exited, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// attach returns a reader that begins at the offsets, or at the oldest byte
// kept. It must be closed.
func (o *output) attach(offsets [streamCount]uint64) *reader {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := &reader{out: o}
	for i := range r.offset {
		r.offset[i] = min(max(offsets[i], o.streams[i].start), o.streams[i].end())
	}
	o.readers[r] = struct{}{}
	return r
}

func (r *reader) close() {
	r.out.mu.Lock()
	delete(r.out.readers, r)
	r.out.notify()
	r.out.mu.Unlock()
}

// next copies what there is of one stream into buf and returns the stream, the
// bytes and their offset. When all has been read and the command has ended, it
// returns how it ended instead.
func (r *reader) next(ctx context.Context, buf []byte) (stream int, data []byte, offset uint64, exited *boxlitev1.ExitStatus, err error) {
	for {
		r.out.mu.Lock()
		for i := range r.offset {
			k := &r.out.streams[i]
			if have := k.end() - r.offset[i]; have > 0 {
				offset = r.offset[i]
				n := copy(buf, k.data[offset-k.start:])
				r.offset[i] += uint64(n)
				r.out.notify()
				r.out.mu.Unlock()
				return i, buf[:n], offset, nil, nil
			}
		}
		exited, changed := r.out.exited, r.out.changed
		r.out.mu.Unlock()
		if exited != nil {
			return 0, nil, 0, exited, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, nil, 0, nil, context.Cause(ctx)
		}
	}
}
