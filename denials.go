package boxlite

import (
	"path/filepath"
	"slices"
	"time"

	"github.com/boxlite-go/boxlite/internal/audit"
)

// denials reads what the networks of boxes have refused: each box has a log of its
// own, so that none can push other events out of the home's.
type denials struct {
	rt    *Runtime
	since time.Time
	boxes map[string]*audit.Cursor
	dry   map[string]bool // those that have nothing more, until refresh
}

func (rt *Runtime) denials(since time.Time) *denials {
	d := &denials{rt: rt, since: since, boxes: map[string]*audit.Cursor{}, dry: map[string]bool{}}
	d.refresh()
	return d
}

// refresh looks again for boxes, and for events in all logs.
func (d *denials) refresh() {
	ids, err := d.rt.boxes.IDs()
	if err != nil {
		return // the home's own log says what is wrong
	}
	for id, cursor := range d.boxes {
		if !slices.Contains(ids, id) {
			cursor.Close()
			delete(d.boxes, id)
		}
	}
	for _, id := range ids {
		if d.boxes[id] == nil {
			d.boxes[id] = audit.OfBox(filepath.Join(d.rt.boxes.Dir(id), dirLogs)).Cursor(d.since)
		}
	}
	clear(d.dry)
}

// each passes on the events up to a time, in their order; all that there are if it is
// zero. It reports false when yield did.
func (d *denials) each(until time.Time, yield func(audit.Event) bool) (bool, error) {
	for {
		first, err := d.first()
		if first == nil || err != nil {
			return true, err
		}
		e, err := first.Peek()
		if err != nil || !until.IsZero() && e.Time.After(until) {
			return true, err
		}
		first.Next()
		if !yield(*e) {
			return false, nil
		}
	}
}

// first returns the cursor with the oldest event, or nil.
func (d *denials) first() (first *audit.Cursor, err error) {
	var oldest time.Time
	for id, cursor := range d.boxes {
		if d.dry[id] {
			continue
		}
		e, err := cursor.Peek()
		switch {
		case err != nil:
			return nil, err
		case e == nil:
			d.dry[id] = true
		case first == nil || e.Time.Before(oldest):
			first, oldest = cursor, e.Time
		}
	}
	return first, nil
}

func (d *denials) close() {
	for _, cursor := range d.boxes {
		cursor.Close()
	}
}
