package guest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// keptOutput is how much of each stream is kept for those who attach later, and
// how far a reader may fall behind before the command has to wait for it.
const keptOutput = 1 << 20

// maxRest is how much of each stream is read once the command has ended. It is the
// most that a pipe holds, unless root has made it larger.
const maxRest = 1 << 20

// keptMore is how much more of each stream may be kept once the command has ended,
// so that its end is known even if a reader has fallen behind: the rest, and what
// was being written.
const keptMore = 2 * maxRest

// The streams of a command.
const (
	stdout = iota
	stderr
	streamCount
)

// output holds what a command has written, and how it ended. Writers wait for
// the slowest reader. From when there is none on, the oldest bytes go to a log.
type output struct {
	logDir string // where logs are kept; empty keeps none

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	streams [streamCount]kept
	readers map[*reader]struct{}
	exited  *boxlitev1.ExitStatus
	ending  bool // the command has ended, and what it has left in its pipes is read
}

// kept is the end of a stream: the bytes from start to end, in blocks, and what the
// log has of those before.
type kept struct {
	blocks []*block
	start  uint64
	size   int
	log    *streamLog // ends at start; nil until needed
}

func (k *kept) end() uint64 { return k.start + uint64(k.size) }

// oldest returns the offset of the first byte that can still be had.
func (k *kept) oldest() uint64 {
	if k.log != nil {
		return k.log.start
	}
	return k.start
}

// append copies p, of at most a block's size, behind what is kept.
func (k *kept) append(p []byte) {
	k.size += len(p)
	if n := len(k.blocks); n > 0 && k.blocks[n-1].grow(p) {
		return
	}
	k.blocks = append(k.blocks, &block{data: append([]byte(nil), p...)})
}

// at returns what there is from an offset on, up to the end of a block. The block
// is retained for the caller.
func (k *kept) at(offset uint64) (*block, []byte, error) {
	if offset < k.start {
		return k.log.block(offset)
	}
	begin := k.start
	for _, b := range k.blocks {
		end := begin + uint64(len(b.data))
		if offset < end {
			b.retain()
			return b, b.data[offset-begin:], nil
		}
		begin = end
	}
	return nil, nil, nil
}

// reader is one attachment's position in each stream.
type reader struct {
	out    *output
	offset [streamCount]uint64
}

func newOutput(logDir string) *output {
	return &output{logDir: logDir, changed: make(chan struct{}), readers: make(map[*reader]struct{})}
}

func (o *output) notify() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// write appends p to a stream. It blocks while a reader has yet to take what
// would have to be dropped for it, and returns early when ctx ends.
func (o *output) write(ctx context.Context, stream int, p []byte) {
	for len(p) > 0 {
		n := min(len(p), blockSize)
		if !o.lockWithRoom(ctx, stream, n) {
			return
		}
		o.streams[stream].append(p[:n])
		o.notify()
		o.mu.Unlock()
		p = p[n:]
	}
}

// push is write of a whole block, without copying it. The block is the output's
// from then on.
func (o *output) push(ctx context.Context, stream int, b *block) {
	if !o.lockWithRoom(ctx, stream, len(b.data)) {
		b.release()
		return
	}
	k := &o.streams[stream]
	k.blocks = append(k.blocks, b)
	k.size += len(b.data)
	o.notify()
	o.mu.Unlock()
}

// lockWithRoom waits until there is room for n more bytes and then holds the lock.
// It returns false, without the lock, if ctx ends before.
func (o *output) lockWithRoom(ctx context.Context, stream, n int) bool {
	for {
		o.mu.Lock()
		if o.drop(stream, n) {
			return true
		}
		changed := o.changed
		o.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// drop forgets the oldest blocks of a stream until there is room for n bytes, but
// nothing that a reader has still to take. It reports whether there is room; once the
// command has ended, there is a little more.
func (o *output) drop(stream, n int) bool {
	k := &o.streams[stream]
	limit := k.end()
	for r := range o.readers {
		limit = min(limit, max(r.offset[stream], k.start))
	}
	room := keptOutput
	if o.ending {
		room += keptMore
	}
	for k.size+n > keptOutput {
		oldest := k.blocks[0]
		if k.start+uint64(len(oldest.data)) > limit {
			return k.size+n <= room
		}
		if k.log == nil && len(o.readers) == 0 && o.logDir != "" {
			k.log, _ = openLog(o.logDir, k.start) // without it, these bytes are lost
		}
		if k.log != nil {
			k.log.append(oldest.data)
		}
		k.start += uint64(len(oldest.data))
		k.size -= len(oldest.data)
		k.blocks = slices.Delete(k.blocks, 0, 1)
		oldest.release()
	}
	return true
}

// end says that the command has ended, and only the rest is to be written.
func (o *output) end() {
	o.mu.Lock()
	o.ending = true
	o.notify()
	o.mu.Unlock()
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
		r.offset[i] = min(max(offsets[i], o.streams[i].oldest()), o.streams[i].end())
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

// next waits until there is something to read, and returns it. The caller releases
// the chunk. When all has been read and the command has ended, next returns how it
// ended instead.
func (r *reader) next(ctx context.Context) (chunk, *boxlitev1.ExitStatus, error) {
	for {
		r.out.mu.Lock()
		for i := range r.offset {
			k := &r.out.streams[i]
			// A log that could not be written may have lost what is next.
			r.offset[i] = max(r.offset[i], k.oldest())
			if r.offset[i] == k.end() {
				continue
			}
			c := chunk{stream: i, offset: r.offset[i]}
			var err error
			c.block, c.data, err = k.at(c.offset)
			r.offset[i] += uint64(len(c.data))
			r.out.notify()
			r.out.mu.Unlock()
			if err != nil {
				return chunk{}, nil, fmt.Errorf("read the command's log: %w", err)
			}
			return c, nil, nil
		}
		exited, changed := r.out.exited, r.out.changed
		r.out.mu.Unlock()
		if exited != nil {
			return chunk{}, exited, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return chunk{}, nil, context.Cause(ctx)
		}
	}
}

// chunk is a part of a stream.
type chunk struct {
	stream int
	offset uint64
	data   []byte
	block  *block // that data is in
}

// written returns how much the command has written to each stream, and how many
// read it.
func (o *output) written() (streams [streamCount]uint64, readers int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range streams {
		streams[i] = o.streams[i].end()
	}
	return streams, len(o.readers)
}

// forget lets go of the logs, for good.
func (o *output) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.logDir = ""
	for i := range o.streams {
		o.streams[i].log.close()
		o.streams[i].log = nil
	}
}

// exitStatus returns how the command ended, or nil while it runs.
func (o *output) exitStatus() *boxlitev1.ExitStatus {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.exited
}
