package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

const (
	// A test may be several processes: the others are this program again, and add
	// to the log in the folder that this variable names.
	envDir = "BOXLITE_TEST_AUDIT"

	writers, eachWrites = 8, 50
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envDir); dir != "" {
		if err := writeMany(small(dir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// small is a log whose files are soon full.
func small(dir string) *Log { return &Log{dir: dir, maxFile: 200 << 10} }

// writeMany adds events from many goroutines at once.
func writeMany(l *Log) error {
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range eachWrites {
				errs[w] = errors.Join(errs[w], l.Append(Event{Type: Exec, Box: fmt.Sprintf("box%d", w), Run: i}))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func newLog(t testing.TB) *Log { return New(filepath.Join(t.TempDir(), "logs")) }

func add(t testing.TB, l *Log, e Event) {
	t.Helper()
	if err := l.Append(e); err != nil {
		t.Fatal(err)
	}
}

// all returns the events that the log has.
func all(t testing.TB, l *Log) []Event {
	t.Helper()
	var events []Event
	for e, err := range l.Events(t.Context(), Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

func TestAppendThenRead(t *testing.T) {
	l := newLog(t)
	if events := all(t, l); len(events) != 0 {
		t.Fatalf("a log that isn't there has %v", events)
	}
	add(t, l, Event{Type: Stopped, Box: "abc", Name: "web", Run: 3, Exit: &Exit{Reason: "exited", Code: 0}})
	add(t, l, Event{Type: Exec, Box: "abc", Command: "sh"})
	events := all(t, l)
	if len(events) != 2 || events[0].Exit == nil || events[0].Exit.Reason != "exited" || events[1].Command != "sh" {
		t.Fatalf("got %+v", events)
	}
	for _, e := range events {
		if e.PID != os.Getpid() || e.Time.IsZero() || e.Box != "abc" {
			t.Errorf("got %+v", e)
		}
	}
	for path, want := range map[string]os.FileMode{l.dir: 0o700, l.path(): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

func TestAppendFromManyProcesses(t *testing.T) {
	const processes = 4
	dir := filepath.Join(t.TempDir(), "logs")
	var wg sync.WaitGroup
	for range processes {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), envDir+"="+dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	l := small(dir)
	seen := map[string]int{}
	last := Event{}
	for _, e := range all(t, l) {
		seen[fmt.Sprint(e.PID, e.Box, e.Run)]++
		if e.Time.Before(last.Time) {
			t.Errorf("%+v comes after %+v", e, last)
		}
		last = e
	}
	if len(seen) != processes*writers*eachWrites {
		t.Errorf("got %d events, want %d", len(seen), processes*writers*eachWrites)
	}
	for key, n := range seen {
		if n != 1 {
			t.Errorf("%s is there %d times", key, n)
		}
	}
}

func TestAppendOnce(t *testing.T) {
	l := newLog(t)
	for range 2 {
		for run := range 2 {
			if err := l.AppendOnce(Event{Type: Stopped, Box: "abc", Run: run}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if events := all(t, l); len(events) != 2 || events[0].Run != 0 || events[1].Run != 1 {
		t.Errorf("got %+v", events)
	}
}

func TestResumedAgainAfterAPause(t *testing.T) {
	l := newLog(t)
	for range 2 {
		add(t, l, Event{Type: Paused, Box: "abc"})
		for range 2 {
			if err := l.AppendOnce(Event{Type: Resumed, Box: "abc"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if events := all(t, l); len(events) != 4 {
		t.Errorf("got %+v", events)
	}
}

func TestDamagedLinesAreSkipped(t *testing.T) {
	l := newLog(t)
	add(t, l, Event{Type: Created, Box: "first"})
	for name, damage := range map[string]string{
		"no JSON":      "\x00\x01 not JSON\n",
		"empty":        "\n\n",
		"without type": `{"time":"2026-01-02T03:04:05Z","box":"x"}` + "\n",
		"array":        "[]\n",
		"too long":     `{"time":"2026-01-02T03:04:05Z","type":"x","box":"` + strings.Repeat("a", 3*maxLine) + "\"}\n",
		"half written": `{"time":"2026-01-02T03:04:05Z","type":"x","bo`,
	} {
		f, err := os.OpenFile(l.path(), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, damage); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		events := all(t, l)
		add(t, l, Event{Type: Created, Box: name})
		if after := all(t, l); len(after) != len(events)+1 || after[len(events)].Box != name {
			t.Errorf("%s: before %+v, after %+v", name, events, after)
		}
	}
}

func TestLongTextIsCut(t *testing.T) {
	l := newLog(t)
	long := strings.Repeat("\x01ä", 20<<10)
	add(t, l, Event{Type: Failed, Box: "abc", Name: long, Error: long, Hint: long, Command: long, Exit: &Exit{Reason: long}})
	data, err := os.ReadFile(l.path())
	if err != nil || len(data) > maxLine || bytes.Count(data, []byte{'\n'}) != 1 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	events := all(t, l)
	if len(events) != 1 || !strings.HasSuffix(events[0].Error, "…") || !strings.HasPrefix(long, strings.TrimSuffix(events[0].Error, "…")) {
		t.Errorf("got %+v", events)
	}
}

func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full to stand for a full disk: ", err)
	}
	l := New(t.TempDir())
	if err := os.Symlink("/dev/full", l.path()); err != nil {
		t.Fatal(err)
	}
	err := l.Append(Event{Type: Starting, Box: "abc", Name: "web"})
	if !errors.Is(err, protocol.KindResourceExhausted) || protocol.HintOf(err) == "" || !strings.Contains(err.Error(), "box web") {
		t.Errorf("got %v", err)
	}
}

func TestFolderInPlaceOfAFile(t *testing.T) {
	l := &Log{dir: t.TempDir(), maxFile: 1}
	for _, path := range []string{l.path(), l.path() + olderSuffix} {
		if err := os.MkdirAll(filepath.Join(path, "more"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if events := all(t, l); len(events) != 0 {
		t.Errorf("got %v", events)
	}
	add(t, l, Event{Type: Created, Box: "a"})
	add(t, l, Event{Type: Created, Box: "b"})
	if events := all(t, l); len(events) != 2 {
		t.Errorf("got %v", events)
	}
}

func TestNotWritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := New(file).Append(Event{Type: Exec, Box: "abc"})
	if !errors.Is(err, protocol.KindStorage) || protocol.HintOf(err) == "" || !strings.Contains(err.Error(), "box abc") {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	line, err := encode(Event{Type: Stopped, Box: "abc", Exit: &Exit{Code: -1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add([]byte(`{"time":"2026-01-02T03:04:05Z","type":"x","pid":1e3}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := parse(line)
		if err != nil {
			return
		}
		again, err := encode(e)
		if err != nil || len(again) > maxLine {
			t.Fatalf("%q gives %+v, which gives %d bytes, %v", line, e, len(again), err)
		}
		if _, err := parse(again); err != nil {
			t.Fatalf("%q gives %q: %v", line, again, err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	l := newLog(b)
	for b.Loop() {
		add(b, l, Event{Type: Exec, Box: "abcdefghijkl", Name: "web", Command: "sh"})
	}
}

func TestCount(t *testing.T) {
	l := newLog(t)
	add(t, l, Event{Type: Created, Box: "a"})
	add(t, l, Event{Type: Exec, Box: "a", Run: 1})
	add(t, l, Event{Type: Exec, Box: "a", Run: 1})
	if err := l.AppendOnce(Event{Type: Created, Box: "a"}); err != nil { // it is there
		t.Fatal(err)
	}
	add(t, New(l.dir), Event{Type: Stopped, Box: "a"}) // by another
	for event, want := range map[Type]uint64{Created: 1, Exec: 2, Stopped: 0} {
		if got := l.Count(event); got != want {
			t.Errorf("%s: %d, want %d", event, got, want)
		}
	}
}
