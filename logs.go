package boxlite

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"time"
)

// LogOptions says what of a log to read. The zero value reads all that the main
// process has written up to now.
type LogOptions struct {
	// Tail limits the lines to the last so many. 0 means all.
	Tail int
	// Follow waits for more until the box stops.
	Follow bool
	// Console reads the console of the virtual machine, of the latest run,
	// instead of what the main process wrote.
	Console bool
}

// LogLine is a line of a log.
type LogLine struct {
	// Time is when the line was written. It is zero on the console.
	Time time.Time
	// Stream is "stdout", "stderr" or "console".
	Stream string
	// Text is the line with its end, if it has one: without it, the rest of the
	// line follows as another LogLine, or there is none.
	Text string
}

// logPoll is how often a log that is followed is looked at.
const logPoll = 100 * time.Millisecond

// Logs returns the lines that the box's main process has written, in all its
// runs.
//
//	for line, err := range box.Logs(ctx, boxlite.LogOptions{}) {
//		if err != nil {
//			return err
//		}
//		fmt.Print(line.Text)
//	}
//
// After an error there are no more lines. A box that has written nothing has
// none.
func (b *Box) Logs(ctx context.Context, options LogOptions) iter.Seq2[LogLine, error] {
	name, parse := fileContainer, parseLogLine
	if options.Console {
		name, parse = fileConsole, consoleLine
	}
	return func(yield func(LogLine, error) bool) {
		err := b.eachLogLine(ctx, name, parse, options, func(line LogLine) bool { return yield(line, nil) })
		if err != nil {
			yield(LogLine{}, err)
		}
	}
}

func (b *Box) eachLogLine(ctx context.Context, name string, parse func([]byte) LogLine, options LogOptions, yield func(LogLine) bool) error {
	if err := b.rt.check(); err != nil {
		return err
	}
	fail := func(err error) error {
		return &Error{Kind: ErrStorage, Op: "read the log", Box: b.config.Label(), Err: err}
	}
	f, err := b.openLog(ctx, b.rt.hostPath(b.config.ID, name), options.Follow)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	if options.Tail > 0 {
		if err := seekTail(f, options.Tail); err != nil {
			return fail(err)
		}
	}
	var in io.Reader = f
	if options.Follow {
		in = &follower{ctx: ctx, f: f, ended: b.ended}
	}
	lines := bufio.NewReaderSize(in, maxLogLine)
	for {
		data, err := lines.ReadSlice('\n')
		if len(data) > 0 && !yield(parse(data)) {
			return nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return fail(err)
		}
	}
}

// openLog opens a log. Who follows waits for a log that isn't there yet, as long
// as the box is there.
func (b *Box) openLog(ctx context.Context, path string, follow bool) (*os.File, error) {
	for {
		f, err := os.Open(path)
		if err == nil || !follow || !errors.Is(err, fs.ErrNotExist) || b.ended(ctx) {
			return f, err
		}
		if err := pause(ctx, logPoll); err != nil {
			return nil, err
		}
	}
}

// ended reports whether nothing more will be written to the box's logs.
func (b *Box) ended(ctx context.Context) bool {
	record, err := b.rt.load(ctx, b.config.ID)
	return err != nil || !record.State.Status.Active()
}

// follower reads a file that grows, until nothing more will be written to it.
type follower struct {
	ctx   context.Context
	f     *os.File
	ended func(context.Context) bool
}

func (r *follower) Read(p []byte) (int, error) {
	last := false
	for {
		n, err := r.f.Read(p)
		if n > 0 || !errors.Is(err, io.EOF) || last {
			return n, err
		}
		if r.ended(r.ctx) {
			last = true // read once more: it may have been written just before
			continue
		}
		if err := pause(r.ctx, logPoll); err != nil {
			return 0, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
