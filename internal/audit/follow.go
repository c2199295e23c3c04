package audit

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"time"

	"github.com/boxlite-go/boxlite/internal/logfile"
)

// Query says which events to read.
type Query struct {
	// Since leaves out what was recorded earlier, Until what was recorded later.
	// Zero ones leave out nothing.
	Since, Until time.Time
	// Follow goes on, when all has been read, with what is added: until Until, or
	// the context ends.
	Follow bool
	// Idle, if it is not nil, is called about once a second while Follow waits.
	Idle func()
}

// Events returns the events of the log in their order. Lines that are damaged are
// left out. The end of the context is an error; after one there are no more
// events.
//
// Who follows gets each event once, however often files are renamed, if it isn't
// behind by more than a whole file.
func (l *Log) Events(ctx context.Context, q Query) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := l.each(ctx, q, func(e Event) bool { return yield(e, nil) }); err != nil {
			yield(Event{}, err)
		}
	}
}

func (l *Log) each(ctx context.Context, q Query, yield func(Event) bool) error {
	var w *logfile.Watch
	if q.Follow {
		if err := os.MkdirAll(l.dir, 0o700); err != nil {
			return err
		}
		w = logfile.NewWatch(l.dir)
		defer w.Close()
	}
	r := l.reader(q.Since)
	defer r.Close()
	// Waiting ends with Until, reading only when all has been read.
	waitCtx := ctx
	if !q.Until.IsZero() {
		var cancel context.CancelFunc
		waitCtx, cancel = context.WithDeadline(ctx, q.Until)
		defer cancel()
	}
	caughtUp := false // what comes then is new, whatever the clock says
	for ctx.Err() == nil {
		ended := waitCtx.Err() != nil // before the log is read for the last time
		line, err := r.Next()
		if err == nil {
			e, err := parse(line)
			switch {
			case err != nil, !caughtUp && e.Time.Before(q.Since):
			case !q.Until.IsZero() && e.Time.After(q.Until), !yield(e):
				return nil
			}
			continue
		}
		if !errors.Is(err, io.EOF) {
			return err
		}
		more, err := r.Advance()
		if err != nil {
			return err
		}
		if more {
			continue
		}
		if !q.Follow || ended {
			return nil
		}
		caughtUp = true
		if w.Wait(waitCtx).Idle && q.Idle != nil {
			q.Idle()
		}
	}
	return context.Cause(ctx)
}

// reader returns a reader of the log's lines that were written since.
func (l *Log) reader(since time.Time) *logfile.Reader {
	return logfile.NewReader(logfile.Files{Path: l.path(), Older: 1}, logfile.Options{MaxLine: maxLine, Since: since})
}
