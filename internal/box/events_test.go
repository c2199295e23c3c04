package box

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/boxlite-go/boxlite/internal/audit"
	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/shim"
)

// recorded returns the events of the log, and checks that each is of the box.
func recorded(t *testing.T, s *Store, box string) []audit.Event {
	t.Helper()
	var events []audit.Event
	for e, err := range s.log.Events(t.Context(), audit.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Box != box || e.Name != "web" || e.Image != "boxlite/base" {
			t.Errorf("got %+v", e)
		}
		events = append(events, e)
	}
	return events
}

func typesOf(events []audit.Event) []audit.Type {
	var types []audit.Type
	for _, e := range events {
		types = append(types, e.Type)
	}
	return types
}

func expect(t *testing.T, s *Store, box string, want ...audit.Type) {
	t.Helper()
	if got := typesOf(recorded(t, s, box)); !slices.Equal(got, want) {
		t.Errorf("recorded %v, want %v", got, want)
	}
}

func lockBox(t *testing.T, s *Store, id string) *Locked {
	t.Helper()
	l, err := s.Lock(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Unlock)
	return l
}

func TestTransitionsAreRecorded(t *testing.T) {
	s := newStore(t)
	r := create(t, s, "web")
	l := lockBox(t, s, r.ID)
	code := 3
	for _, state := range []State{
		{Status: Starting, Runs: 1},
		{Status: Starting, Runs: 1, ImageDigest: "sha256:x"},
		{Status: Running, Runs: 1, Args: []string{"sh", "-c", "secret"}, Isolation: "hardware VM"},
		{Status: Paused, Runs: 1},
		{Status: Running, Runs: 1},
		{Status: Paused, Runs: 1},
		{Status: Running, Runs: 1},
		{Status: Stopping, Runs: 1},
		{Status: Running, Runs: 1}, // who was to stop it was killed
		{Status: Stopped, Runs: 1, Exit: &Exit{Reason: "exited", Code: &code}},
		{Status: Starting, Runs: 2},
		{Status: Failed, Runs: 2, Error: &Failure{Message: "no memory", Hint: "buy some"}},
	} {
		if err := l.Set(state); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	expect(t, s, r.ID, audit.Created, audit.Starting, audit.Started, audit.Paused, audit.Resumed, audit.Paused, audit.Resumed,
		audit.Stopping, audit.Stopped, audit.Starting, audit.Failed, audit.Removed)
	events := recorded(t, s, r.ID)
	if e := events[2]; e.Command != "sh" || e.Isolation != "hardware VM" || e.Run != 1 {
		t.Errorf("started: %+v", e)
	}
	if e := events[8]; e.Exit == nil || e.Exit.Code != 3 || e.Exit.Reason != "exited" {
		t.Errorf("stopped: %+v", e)
	}
	if e := events[10]; e.Error != "no memory" || e.Hint != "buy some" || e.Run != 2 {
		t.Errorf("failed: %+v", e)
	}
	data, err := os.ReadFile(logPath(s))
	if err != nil || bytes.Contains(data, []byte("secret")) || bytes.Contains(data, []byte("A=b")) {
		t.Errorf("arguments or environment are recorded: %s, %v", data, err)
	}
}

// An end that nobody saw is recorded once, however many find it at once.
func TestUnseenEndIsRecordedOnce(t *testing.T) {
	s := newStore(t)
	r := create(t, s, "web")
	setTo(t, s, r.ID, Starting, Running)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := s.List(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	expect(t, s, r.ID, audit.Created, audit.Starting, audit.Started, audit.Stopped)
	if e := recorded(t, s, r.ID)[3]; e.Exit.Reason != ReasonLost || e.Error == "" || e.FinishedAt.IsZero() {
		t.Errorf("got %+v", e)
	}
}

// Whoever looks while a box is made records that, too: it is there once.
func TestCreatedIsRecordedOnce(t *testing.T) {
	s := newStore(t)
	made := make(chan struct{})
	var looks sync.WaitGroup
	for range 2 {
		looks.Go(func() {
			for {
				select {
				case <-made:
					return
				default:
				}
				if _, err := s.List(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	const boxes = 30
	for i := range boxes {
		create(t, s, fmt.Sprint("web", i))
	}
	close(made)
	looks.Wait()
	seen := map[string]int{}
	for e, err := range s.log.Events(t.Context(), audit.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		seen[e.Box]++
	}
	if len(seen) != boxes {
		t.Errorf("%d boxes are recorded, want %d", len(seen), boxes)
	}
	for box, n := range seen {
		if n != 1 {
			t.Errorf("box %s is recorded %d times", box, n)
		}
	}
}

// Whoever is killed between a change and its event leaves a note, and the next
// records it, once.
func TestKilledBeforeItIsRecorded(t *testing.T) {
	for name, after := range map[string]bool{"before": false, "after": true} {
		t.Run(name+" it was recorded", func(t *testing.T) {
			s := newStore(t)
			r := create(t, s, "web")
			setTo(t, s, r.ID, Starting, Failed)
			logged, err := os.ReadFile(logPath(s))
			if err != nil {
				t.Fatal(err)
			}
			if !after {
				first := slices.Index(logged, '\n') + 1
				second := first + slices.Index(logged[first:], '\n') + 1
				if err := os.Truncate(logPath(s), int64(second)); err != nil {
					t.Fatal(err)
				}
			}
			write(t, filepath.Join(s.Dir(r.ID), fileUnrecorded), string(audit.Failed))
			for range 2 {
				if _, err := s.Load(t.Context(), r.ID); err != nil {
					t.Fatal(err)
				}
			}
			expect(t, s, r.ID, audit.Created, audit.Starting, audit.Failed)
			if s.isUnrecorded(r.ID) {
				t.Error("the note stays")
			}
		})
	}
}

// A note of what then did not happen, or that is damaged, is dropped.
func TestNoteOfNothing(t *testing.T) {
	for _, note := range []string{string(audit.Stopped), "", "nonsense\n"} {
		s := newStore(t)
		r := create(t, s, "web")
		write(t, filepath.Join(s.Dir(r.ID), fileUnrecorded), note)
		if _, err := s.Load(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		expect(t, s, r.ID, audit.Created)
		if s.isUnrecorded(r.ID) {
			t.Errorf("the note %q stays", note)
		}
	}
}

func TestKilledWhileRemoving(t *testing.T) {
	s := newStore(t)
	r := create(t, s, "web")
	setTo(t, s, r.ID, Starting, Failed)
	write(t, filepath.Join(s.Dir(r.ID), fileUnrecorded), string(audit.Failed))
	if err := os.Rename(s.Dir(r.ID), filepath.Join(s.dir, prefixGone+r.ID+"-1")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := Open(s.dir, s.log); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, s, r.ID, audit.Created, audit.Starting, audit.Failed, audit.Removed)
}

func logPath(s *Store) string { return filepath.Join(filepath.Dir(s.dir), "logs", "audit.jsonl") }

// fullLog makes a log that nothing can be added to, as on a full disk, until mend
// is called.
func fullLog(t *testing.T, s *Store) (mend func()) {
	t.Helper()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full to stand for a full disk: ", err)
	}
	kept := logPath(s) + ".kept"
	if err := errors.Join(os.Rename(logPath(s), kept), os.Symlink("/dev/full", logPath(s))); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Rename(kept, logPath(s)); err != nil {
			t.Fatal(err)
		}
	}
}

// What can't be recorded is not begun, but can be ended.
func TestLogIsFull(t *testing.T) {
	s := newStore(t)
	r := create(t, s, "web")
	idle := create(t, s, "web-2")
	setTo(t, s, r.ID, Starting, Running)
	mend := fullLog(t, s)
	full := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, protocol.KindResourceExhausted) || protocol.HintOf(err) == "" {
			t.Errorf("%s: got %v", what, err)
		}
	}
	_, err := s.Create(t.Context(), Config{Name: "more"})
	full("create", err)
	if records, err := s.List(t.Context()); err != nil || len(records) != 2 || records[0].State.Status != Stopped {
		t.Errorf("got %+v, %v", records, err) // the end of the first was found
	}
	if entries, err := os.ReadDir(s.dir); err != nil || len(entries) != 3 {
		t.Errorf("left: %v, %v", entries, err)
	}
	l := lockBox(t, s, idle.ID)
	full("start", l.Set(State{Status: Starting}))
	if l.State.Status != Configured || s.Status(idle.ID) != Configured {
		t.Errorf("it is %s", l.State.Status)
	}
	full("remove", l.Remove())
	if !l.Removed() {
		t.Error("it was not removed")
	}
	if _, err := Open(s.dir, s.log); err != nil {
		t.Error(err)
	}

	mend()
	if _, err := Open(s.dir, s.log); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context(), r.ID); err != nil {
		t.Fatal(err)
	}
	var got []audit.Type
	for e, err := range s.log.Events(t.Context(), audit.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Type)
	}
	want := []audit.Type{audit.Created, audit.Created, audit.Starting, audit.Started, audit.Removed, audit.Stopped}
	if !slices.Equal(got, want) {
		t.Errorf("recorded %v, want %v", got, want)
	}
	if left, _ := filepath.Glob(filepath.Join(s.dir, prefixGone+"*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// The end of a run that can't be recorded is an error, and has happened.
func TestEndThatCannotBeRecorded(t *testing.T) {
	s := newStore(t)
	r := create(t, s, "web")
	setTo(t, s, r.ID, Starting)
	l := &Locked{Record: r, store: s}
	l.State.Status = Running
	mend := fullLog(t, s)
	err := l.Found(l.State.Ended(&boxlitev1.ExitRecord{Reason: shim.ReasonStopped}))
	if !errors.Is(err, protocol.KindResourceExhausted) || s.Status(r.ID) != Stopped || l.State.Status != Stopped {
		t.Errorf("it is %s, %v", s.Status(r.ID), err)
	}
	mend()
	if err := l.Set(State{Status: Starting, Runs: 2}); err != nil {
		t.Fatal(err)
	}
	expect(t, s, r.ID, audit.Created, audit.Starting, audit.Stopped, audit.Starting)
}
