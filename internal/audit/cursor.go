package audit

import (
	"errors"
	"io"
	"time"

	"github.com/boxlite-go/boxlite/internal/logfile"
)

// Cursor is a place in a log, for one who reads several logs at once.
type Cursor struct {
	reader *logfile.Reader
	since  time.Time
	head   *Event
}

// Cursor returns a cursor before the first event that was recorded since. The caller
// closes it.
func (l *Log) Cursor(since time.Time) *Cursor {
	return &Cursor{reader: l.reader(since), since: since}
}

// Peek returns the event at the cursor, or nil if there is none yet.
func (c *Cursor) Peek() (*Event, error) {
	for c.head == nil {
		line, err := c.reader.Next()
		if errors.Is(err, io.EOF) {
			more, err := c.reader.Advance()
			if !more || err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if e, err := parse(line); err == nil && !e.Time.Before(c.since) {
			c.head = &e
		}
	}
	return c.head, nil
}

// Next moves the cursor behind the event that Peek has returned.
func (c *Cursor) Next() { c.head = nil }

// Close lets go of the log.
func (c *Cursor) Close() { c.reader.Close() }
