package logfile

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// idleInterval is how often a log is looked at where the host does not tell of
// changes.
const idleInterval = time.Second

// Watch waits for changes of files.
type Watch struct {
	watcher *fsnotify.Watcher // nil where the host has no more watches to give
	changes chan fsnotify.Event
	errors  chan error
	tick    *time.Ticker
}

// Wake says why [Watch.Wait] has returned.
type Wake struct {
	// Idle is set about once a second, whatever else happens.
	Idle bool
	// Removed are the files, of those that [Watch.Add] was called with, that have
	// been deleted.
	Removed []string
}

// NewWatch watches a folder, as far as the host can. The caller closes it.
func NewWatch(dir string) *Watch {
	w := &Watch{tick: time.NewTicker(idleInterval)}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return w // the ticks must do
	}
	if err := watcher.Add(dir); err != nil {
		_ = watcher.Close()
		return w
	}
	w.watcher, w.changes, w.errors = watcher, watcher.Events, watcher.Errors
	return w
}

// Add watches a file, too, and reports whether the host can do that: the file
// must be there.
func (w *Watch) Add(file string) bool { return w.watcher != nil && w.watcher.Add(file) == nil }

// Wait returns when something may have changed, a second has gone by, or ctx
// ends.
func (w *Watch) Wait(ctx context.Context) Wake {
	var wake Wake
	select {
	case e := <-w.changes:
		wake.add(e)
	case <-w.errors: // such as that there were too many changes to tell
		wake.Idle = true
	case <-w.tick.C:
		wake.Idle = true
	case <-ctx.Done():
	}
	for { // what else has happened needs no call of its own
		select {
		case e := <-w.changes:
			wake.add(e)
		case <-w.tick.C:
			wake.Idle = true
		default:
			return wake
		}
	}
}

func (w *Wake) add(e fsnotify.Event) {
	if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
		w.Removed = append(w.Removed, filepath.Clean(e.Name))
	}
}

// Close ends the watch.
func (w *Watch) Close() {
	w.tick.Stop()
	if w.watcher != nil {
		_ = w.watcher.Close()
	}
}
