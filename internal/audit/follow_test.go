package audit

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

// follow returns a function that waits for the next event.
func follow(t *testing.T, l *Log, q Query) func() Event {
	t.Helper()
	q.Follow = true
	ctx, cancel := context.WithCancel(context.Background())
	events := make(chan Event)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(events)
		for e, err := range l.Events(ctx, q) {
			if errors.Is(err, context.Canceled) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			select {
			case events <- e:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return func() Event {
		t.Helper()
		select {
		case e := <-events:
			return e
		case <-time.After(time.Minute):
			t.Fatal("no event comes")
			return Event{}
		}
	}
}

// idling returns a Query.Idle, and what tells that it was called: that all has
// been read.
func idling() (waits <-chan struct{}, idle func()) {
	told := make(chan struct{}, 1)
	return told, func() {
		select {
		case told <- struct{}{}:
		default:
		}
	}
}

func TestFollow(t *testing.T) {
	l := newLog(t)
	add(t, l, Event{Type: Created, Box: "old"})
	next := follow(t, l, Query{})
	if e := next(); e.Box != "old" {
		t.Errorf("got %+v", e)
	}
	for run := range 10 {
		add(t, l, Event{Type: Exec, Box: "new", Run: run})
		if e := next(); e.Box != "new" || e.Run != run {
			t.Errorf("got %+v, want run %d", e, run)
		}
	}
}

// Who follows a log that isn't there gets its first event.
func TestFollowFromNothing(t *testing.T) {
	l := newLog(t)
	waits, idle := idling()
	next := follow(t, l, Query{Idle: idle})
	<-waits
	add(t, l, Event{Type: Created, Box: "first"})
	if e := next(); e.Box != "first" {
		t.Errorf("got %+v", e)
	}
}

func TestSince(t *testing.T) {
	l := newLog(t)
	add(t, l, Event{Type: Created, Box: "old"})
	since := time.Now()
	add(t, l, Event{Type: Created, Box: "new"})
	next := follow(t, l, Query{Since: since})
	if e := next(); e.Box != "new" {
		t.Errorf("got %+v", e)
	}
	// What comes while one follows is new, even if the clock is set back.
	waits, idle := idling()
	next = follow(t, l, Query{Since: time.Now().Add(time.Hour), Idle: idle})
	<-waits
	add(t, l, Event{Type: Created, Box: "late"})
	if e := next(); e.Box != "late" {
		t.Errorf("got %+v", e)
	}
}

// A follower goes on over renamed files without losing or repeating a line, while
// another process fills them.
func TestFollowOverRotation(t *testing.T) {
	l := &Log{dir: t.TempDir(), maxFile: maxLine + 4<<10}
	next := follow(t, l, Query{})
	const events, ahead = 2000, 20 // so many make much less than a file
	written := make(chan struct{}, ahead)
	go func() {
		for run := range events {
			written <- struct{}{}
			if err := l.Append(Event{Type: Exec, Box: "abc", Run: run}); err != nil {
				t.Error(err)
			}
		}
	}()
	for run := range events {
		if e := next(); e.Run != run {
			t.Fatalf("got run %d, want %d", e.Run, run)
		}
		<-written
	}
	for _, path := range []string{l.path(), l.path() + olderSuffix} {
		if info, err := os.Stat(path); err != nil || info.Size() > l.maxFile || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %+v, %v", path, info, err)
		}
	}
	if entries, err := os.ReadDir(l.dir); err != nil || len(entries) != 2 {
		t.Errorf("got %v, %v", entries, err)
	}
}

// A reader whose file has been renamed, and replaced, goes on with the older one,
// and does not begin again after its file was deleted by hand.
func TestReaderIsBehind(t *testing.T) {
	l := &Log{dir: t.TempDir(), maxFile: maxLine + 1}
	rotate := func(box string) { add(t, l, Event{Type: Created, Box: box}) } // a file each
	rotate("a")
	r := l.reader(time.Time{})
	defer r.Close()
	read := func() string {
		t.Helper()
		for {
			line, err := r.Next()
			if err == nil {
				e, err := parse(line)
				if err != nil {
					t.Fatal(err)
				}
				return e.Box
			}
			if more, err := r.Advance(); !more || err != nil {
				return ""
			}
		}
	}
	if got := read(); got != "a" {
		t.Fatalf("got %q", got)
	}
	rotate("b")
	rotate("c") // a is gone, b is the older
	for _, want := range []string{"b", "c", ""} {
		if got := read(); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(l.path()+olderSuffix, old, old); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(l.path()); err != nil {
		t.Fatal(err)
	}
	rotate("d")
	for _, want := range []string{"d", ""} {
		if got := read(); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func TestUntil(t *testing.T) {
	l := newLog(t)
	add(t, l, Event{Type: Created, Box: "old"})
	until := time.Now()
	add(t, l, Event{Type: Created, Box: "new"})
	for _, follow := range []bool{false, true} {
		var boxes []string
		for e, err := range l.Events(t.Context(), Query{Until: until, Follow: follow}) {
			if err != nil {
				t.Fatal(err)
			}
			boxes = append(boxes, e.Box)
		}
		if len(boxes) != 1 || boxes[0] != "old" {
			t.Errorf("got %q", boxes)
		}
	}
	// Following ends then, though nothing happens.
	for _, err := range l.Events(t.Context(), Query{Since: until, Until: time.Now().Add(10 * time.Millisecond), Follow: true}) {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	l := newLog(t)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	for _, err := range l.Events(ctx, Query{Follow: true, Idle: func() { cancel(cause) }}) {
		if !errors.Is(err, cause) {
			t.Errorf("got %v", err)
		}
	}
}
