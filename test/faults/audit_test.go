package faults

import (
	"slices"
	"testing"

	"github.com/boxlite-go/boxlite"
)

// TestKilledBeforeItIsRecorded kills a creator between what it does and the event
// of that, and after it: each is in the audit log once.
func TestKilledBeforeItIsRecorded(t *testing.T) {
	const (
		created, starting, started = boxlite.EventCreated, boxlite.EventStarting, boxlite.EventStarted
		stopping, stopped, removed = boxlite.EventStopping, boxlite.EventStopped, boxlite.EventRemoved
	)
	for _, c := range []struct {
		stages []string
		steps  []string
		want   []boxlite.EventType
	}{
		{[]string{"create/named", "record/created", "recorded/created"}, []string{"create"}, []boxlite.EventType{created}},
		{[]string{"record/started", "recorded/started"}, []string{"create", "start"}, []boxlite.EventType{created, starting, started, stopped}},
		{[]string{"record/stopped", "recorded/stopped"}, []string{"create", "start", "stop"}, []boxlite.EventType{created, starting, started, stopping, stopped}},
		{[]string{"remove/renamed"}, []string{"create", "remove"}, []boxlite.EventType{created, removed}},
	} {
		for _, stage := range c.stages {
			t.Run(stage, func(t *testing.T) {
				t.Parallel()
				home := newHome(t)
				hit(t, home, stage, append([]string{"attached", "new"}, c.steps...)...)
				rt := openHome(t, home)
				waitForEnd(t, rt, "new")
				if got := eventsOf(t, rt, "new"); !slices.Equal(got, c.want) {
					t.Errorf("recorded %q, want %q", got, c.want)
				}
				nothingLeft(t, rt, home)
			})
		}
	}
}

// TestKilledWhileRenaming kills a creator while it renames a box: that has one name
// or the other, and what happened is in the audit log once.
func TestKilledWhileRenaming(t *testing.T) {
	for _, c := range []struct {
		stage, name string
		want        []boxlite.EventType
	}{
		{"rename/marked", "new", []boxlite.EventType{boxlite.EventCreated}},
		{"record/renamed", "other", []boxlite.EventType{boxlite.EventCreated, boxlite.EventRenamed}},
		{"recorded/renamed", "other", []boxlite.EventType{boxlite.EventCreated, boxlite.EventRenamed}},
	} {
		t.Run(c.stage, func(t *testing.T) {
			t.Parallel()
			home := newHome(t)
			hit(t, home, c.stage, "attached", "new", "create", "rename")
			rt := openHome(t, home)
			list, err := rt.List(t.Context())
			if err != nil || len(list) == 0 {
				t.Fatalf("got %d boxes, %v", len(list), err)
			}
			if latest := list[len(list)-1]; latest.Name != c.name || latest.Error != "" {
				t.Errorf("the box is %q, error %q, want %q", latest.Name, latest.Error, c.name)
			}
			if got := eventsOf(t, rt, "new"); !slices.Equal(got, c.want) {
				t.Errorf("recorded %q, want %q", got, c.want)
			}
			// Neither name is taken by what was left.
			for _, name := range []string{"new", "other"} {
				if _, _, err := rt.GetOrCreate(t.Context(), boxlite.BoxSpec{Name: name}); err != nil {
					t.Error(err)
				}
			}
			nothingLeft(t, rt, home)
		})
	}
}

// waitForEnd waits until a box, if it is there, does not run.
func waitForEnd(t *testing.T, rt *boxlite.Runtime, name string) {
	t.Helper()
	box, err := rt.Get(t.Context(), name)
	if err != nil {
		return
	}
	if info, err := box.Info(t.Context()); err == nil && info.Status.Active() {
		_, _ = box.Wait(patience(t)) // how it ended is of no matter
	}
}

// eventsOf returns what has been done to a box.
func eventsOf(t *testing.T, rt *boxlite.Runtime, name string) []boxlite.EventType {
	t.Helper()
	var types []boxlite.EventType
	for e, err := range rt.Events(t.Context(), boxlite.EventOptions{Boxes: []string{name}}) {
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, e.Type)
	}
	return types
}
