package boxlite

import (
	"context"
	"errors"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"time"

	"github.com/boxlite-go/boxlite/internal/logfile"
)

// LogOptions says what of a log to read. The zero value reads all that the main
// process has written up to now, as far as it is kept.
type LogOptions struct {
	// Tail limits the lines, of those that Since and Until leave, to the last so
	// many. 0 means all, and less than 0 none, which leaves what is still to come.
	Tail int
	// Since leaves out lines that were written earlier, Until those that were
	// written later. With Follow, reading ends at Until. Zero ones leave out
	// nothing. Lines of the console have no times, and are all read.
	Since, Until time.Time
	// Follow waits for more until the box stops.
	Follow bool
	// Console reads the console of the virtual machine, of the latest run,
	// instead of what the main process wrote.
	Console bool
}

// LogLine is a line of a log.
type LogLine struct {
	// Time is when the line was written. It is zero on the console.
	Time time.Time `json:"time,omitzero"`
	// Stream is "stdout", "stderr" or "console".
	Stream string `json:"stream"`
	// Text is the line with its end, if it has one: without it, the rest of the
	// line follows as another LogLine, or there is none.
	Text string `json:"text"`
}

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
// none. The last 20 MiB or more are kept, times of lines included, and of the
// console the last MiB or more. Who follows gets each line once, if it isn't
// behind by more than that.
func (b *Box) Logs(ctx context.Context, options LogOptions) iter.Seq2[LogLine, error] {
	return func(yield func(LogLine, error) bool) {
		err := b.eachLogLine(ctx, options, func(line LogLine) bool { return yield(line, nil) })
		if err != nil {
			yield(LogLine{}, err)
		}
	}
}

func (b *Box) eachLogLine(ctx context.Context, options LogOptions, yield func(LogLine) bool) error {
	if err := b.rt.check(); err != nil {
		return err
	}
	l := logReader{b: b, options: options, reader: b.openLog(options), yield: yield}
	defer l.reader.Close()
	if options.Follow {
		l.watch = logfile.NewWatch(b.rt.hostPath(b.config.ID, dirLogs))
		defer l.watch.Close()
	}
	if err := l.read(ctx); err != nil {
		return &Error{Kind: kindOfRead(err), Op: "read the log", Box: b.config.Label(), Err: err}
	}
	return nil
}

// openLog returns a reader of the log that the options ask for.
func (b *Box) openLog(options LogOptions) *logfile.Reader {
	files, read := containerFiles, logfile.Options{MaxLine: maxLogLine, Since: options.Since, Parts: true}
	if options.Console {
		files, read.Since = consoleFiles, time.Time{}
	}
	files.Path = b.rt.hostPath(b.config.ID, files.Path)
	return logfile.NewReader(files, read)
}

// logReader reads a log, and follows it.
type logReader struct {
	b       *Box
	options LogOptions
	reader  *logfile.Reader
	watch   *logfile.Watch // nil unless the log is followed
	yield   func(LogLine) bool

	// shim is the file that is there while the box runs, which is watched once
	// watched is set.
	shim    string
	watched bool
	// passed reports whether the latest line with a time was one to leave out:
	// one without is left out with it.
	passed bool
}

// errEnough is how reading ends when nobody wants more.
var errEnough = errors.New("no more is wanted")

func (l *logReader) read(ctx context.Context) error {
	if l.options.Tail != 0 {
		if err := l.reader.SeekTail(max(0, l.options.Tail), l.counts); err != nil {
			return err
		}
	}
	// Waiting ends with Until, reading only when all has been read.
	waitCtx := ctx
	if !l.options.Until.IsZero() && !l.options.Console {
		var cancel context.CancelFunc
		waitCtx, cancel = context.WithDeadline(ctx, l.options.Until)
		defer cancel()
	}
	last := l.watch == nil
	look := true // whether the box still runs
	for ctx.Err() == nil {
		line, err := l.reader.Next()
		if err == nil {
			err = l.pass(line)
		}
		switch {
		case errors.Is(err, errEnough):
			return nil
		case err == nil:
			continue
		case !errors.Is(err, io.EOF):
			return err
		}
		if more, err := l.reader.Advance(); more || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		switch {
		case last:
			return l.end()
		case waitCtx.Err() != nil, look && l.ended(ctx):
			last = true // read once more: it may have been written just before
		default:
			look = l.wait(waitCtx)
		}
	}
	return context.Cause(ctx)
}

// pass hands on a line that is wanted.
func (l *logReader) pass(data []byte) error {
	parse := parseLogLine
	if l.options.Console {
		parse = consoleLine
	}
	line := parse(data)
	if !line.Time.IsZero() {
		l.passed = line.Time.Before(l.options.Since) || l.isLate(line.Time)
	}
	if !l.passed && !l.yield(line) {
		return errEnough
	}
	return nil
}

func (l *logReader) isLate(at time.Time) bool {
	return !l.options.Until.IsZero() && at.After(l.options.Until)
}

// counts reports whether a line that begins so is one of those that Tail counts.
func (l *logReader) counts(head []byte) bool {
	return l.options.Console || !l.isLate(parseLogLine(head).Time)
}

// end hands on what stands after the last line's end.
func (l *logReader) end() error {
	if rest := l.reader.Rest(); len(rest) > 0 {
		if err := l.pass(rest); !errors.Is(err, errEnough) {
			return err
		}
	}
	return nil
}

// wait waits for something to happen, and reports whether the box may have ended.
func (l *logReader) wait(ctx context.Context) bool {
	if !l.watched {
		l.shim = filepath.Clean(l.b.rt.hostPath(l.b.config.ID, fileShim))
		l.watched = l.watch.Add(l.shim)
		if l.watched && l.ended(ctx) { // before there was a watch
			return true
		}
	}
	wake := l.watch.Wait(ctx)
	if slices.Contains(wake.Removed, l.shim) {
		l.watched = false // of the next run there is another
		// Whoever ends a run holds the lock until its end is recorded.
		if locked, err := l.b.rt.boxes.Lock(ctx, l.b.config.ID); err == nil {
			locked.Unlock()
		}
		return true
	}
	return wake.Idle
}

// ended reports whether nothing more will be written to the box's logs.
func (l *logReader) ended(ctx context.Context) bool {
	record, err := l.b.rt.load(ctx, l.b.config.ID)
	return err != nil || !record.State.Status.Active()
}

// pause waits, unless ctx ends before.
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
