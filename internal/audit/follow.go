package audit

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"time"

	"github.com/fsnotify/fsnotify"
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

// idleInterval is how often Idle is called, and the log looked at where the host
// does not tell of changes.
const idleInterval = time.Second

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
	var w *watch
	if q.Follow {
		var err error
		if w, err = l.watch(); err != nil {
			return err
		}
		defer w.close()
	}
	r := &reader{path: l.path(), since: q.Since}
	defer func() { r.close() }()
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
		line, err := r.next()
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
		more, err := r.advance()
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
		w.wait(waitCtx, q.Idle)
	}
	return context.Cause(ctx)
}

// watch waits for changes of the log.
type watch struct {
	watcher *fsnotify.Watcher
	// changes and errors are nil where the host has no more watches to give.
	changes chan fsnotify.Event
	errors  chan error
	tick    *time.Ticker
}

func (l *Log) watch() (*watch, error) {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, err
	}
	w := &watch{tick: time.NewTicker(idleInterval)}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return w, nil // the ticks must do
	}
	if err := watcher.Add(l.dir); err != nil {
		_ = watcher.Close()
		return w, nil
	}
	w.watcher, w.changes, w.errors = watcher, watcher.Events, watcher.Errors
	return w, nil
}

// wait returns when the log may have changed, a second has gone by, or ctx ends.
func (w *watch) wait(ctx context.Context, idle func()) {
	select {
	case <-w.changes:
	case <-w.errors: // such as that there were too many changes to tell
	case <-w.tick.C:
		if idle != nil {
			idle()
		}
	case <-ctx.Done():
	}
}

func (w *watch) close() {
	w.tick.Stop()
	if w.watcher != nil {
		_ = w.watcher.Close()
	}
}
