package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
)

// follow returns a function that waits for the next event that rt sees.
func follow(t *testing.T, rt *boxlite.Runtime, options boxlite.EventOptions) func() boxlite.Event {
	t.Helper()
	options.Follow = true
	ctx, cancel := context.WithCancel(context.Background())
	events, done := make(chan boxlite.Event), make(chan struct{})
	go func() {
		defer close(done)
		for e, err := range rt.Events(ctx, options) {
			if errors.Is(err, context.Canceled) {
				return
			}
			if err != nil {
				t.Error(err)
			}
			select {
			case events <- e:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return func() boxlite.Event {
		t.Helper()
		select {
		case e := <-events:
			return e
		case <-time.After(time.Minute):
			t.Fatal("no event comes")
			return boxlite.Event{}
		}
	}
}

// TestEvents has one Runtime see what another, and boxes by themselves, do.
func TestEvents(t *testing.T) {
	needMachine(t)
	t.Parallel()
	home := t.TempDir()
	rt, watcher := openRuntime(t, boxlite.Options{Home: home}), openRuntime(t, boxlite.Options{Home: home})
	next := follow(t, watcher, boxlite.EventOptions{})
	expect := func(want boxlite.EventType, box *boxlite.Box) boxlite.Event {
		t.Helper()
		e := next()
		if e.Type != want || e.Box != box.ID() || e.Name != box.Name() || e.PID == 0 || e.Time.IsZero() {
			t.Fatalf("got %+v, want %s of %s", e, want, box.ID())
		}
		return e
	}

	box := newBox(t, rt, boxlite.BoxSpec{Name: "web", Env: []string{"TOKEN=hidden1"}})
	if e := expect(boxlite.EventCreated, box); e.Image != "boxlite/base" {
		t.Errorf("got %+v", e)
	}
	c := box.Command("sh", "-c", ": hidden2")
	c.Env = []string{"TOKEN=hidden3"}
	if err := c.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(boxlite.EventStarting, box)
	if e := expect(boxlite.EventStarted, box); e.Run != 1 || e.Engine == "" || e.Isolation == "" {
		t.Errorf("got %+v", e)
	}
	if e := expect(boxlite.EventExec, box); e.Command != "sh" {
		t.Errorf("got %+v", e)
	}
	if err := errors.Join(box.Pause(t.Context()), box.Resume(t.Context())); err != nil {
		t.Fatal(err)
	}
	expect(boxlite.EventPaused, box)
	expect(boxlite.EventResumed, box)
	if err := box.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(boxlite.EventStopping, box)
	if e := expect(boxlite.EventStopped, box); e.Exit == nil || e.Exit.Reason != "stopped" || e.Exit.Code != -1 || e.FinishedAt.IsZero() {
		t.Errorf("got %+v", e)
	}
	if err := box.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(boxlite.EventRemoved, box)

	// The main process ends by itself, and nobody but the watcher is there.
	alone, err := boxlite.Open(boxlite.Options{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	job, err := alone.Create(t.Context(), boxlite.BoxSpec{
		Cmd: []string{"sh", "-c", "while [ ! -e /end ]; do sleep 0.1; done; exit 7"}, Detach: true, AutoRemove: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := job.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := job.Command("touch", "/end").Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	expect(boxlite.EventCreated, job)
	expect(boxlite.EventStarting, job)
	if e := expect(boxlite.EventStarted, job); e.Command != "sh" {
		t.Errorf("got %+v", e)
	}
	expect(boxlite.EventExec, job)
	if e := expect(boxlite.EventStopped, job); e.Exit == nil || e.Exit.Reason != "exited" || e.Exit.Code != 7 {
		t.Errorf("got %+v", e)
	}
	expect(boxlite.EventRemoved, job)

	data, err := os.ReadFile(filepath.Join(home, "logs", "audit.jsonl"))
	if err != nil || strings.Contains(string(data), "hidden") || strings.Contains(string(data), "TOKEN") {
		t.Errorf("a secret is recorded: %s, %v", data, err)
	}
}

// TestFailedStartIsRecorded has a start end with an event that says why.
func TestFailedStartIsRecorded(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{Cmd: []string{"nosuch", "hidden"}})
	if err := box.Start(t.Context()); !errors.Is(err, boxlite.ErrExecution) {
		t.Errorf("got %v", err)
	}
	var types []boxlite.EventType
	for e, err := range rt.Events(t.Context(), boxlite.EventOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, e.Type)
		if e.Type == boxlite.EventFailed && (!strings.Contains(e.Error, "nosuch") || strings.Contains(e.Error, "hidden") || e.Hint == "") {
			t.Errorf("got %+v", e)
		}
	}
	if want := []boxlite.EventType{boxlite.EventCreated, boxlite.EventStarting, boxlite.EventFailed}; !slices.Equal(types, want) {
		t.Errorf("recorded %q, want %q", types, want)
	}
}

// TestNothingRunsUnrecorded makes the audit log full: nothing more is started, and
// what runs can be stopped and removed.
func TestNothingRunsUnrecorded(t *testing.T) {
	needMachine(t)
	t.Parallel()
	home := t.TempDir()
	rt := openRuntime(t, boxlite.Options{Home: home})
	box := newBox(t, rt, boxlite.BoxSpec{Name: "web"})
	idle := newBox(t, rt, boxlite.BoxSpec{Name: "idle"})
	if err := box.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(home, "logs", "audit.jsonl")
	if err := errors.Join(os.Remove(log), os.Symlink("/dev/full", log)); err != nil {
		t.Fatal(err)
	}
	full := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, boxlite.ErrResourceExhausted) || boxlite.HintOf(err) == "" {
			t.Errorf("%s: got %v", what, err)
		}
	}
	full("exec", box.Command("true").Run(t.Context()))
	full("start", idle.Start(t.Context()))
	full("pause", box.Pause(t.Context()))
	full("stop", box.Stop(t.Context()))
	for name, want := range map[*boxlite.Box]boxlite.Status{box: boxlite.StatusStopped, idle: boxlite.StatusConfigured} {
		if info, err := name.Info(t.Context()); err != nil || info.Status != want {
			t.Errorf("%s is %s, %v", name.Name(), info.Status, err)
		}
	}
	full("remove", rt.Remove(t.Context(), "web", true))
	full("remove", idle.Remove(t.Context()))
	if list, err := rt.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("got %+v, %v", list, err)
	}
}
