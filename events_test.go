package boxlite

import (
	"errors"
	"testing"
)

func eventTypes(t *testing.T, rt *Runtime, options EventOptions) []EventType {
	t.Helper()
	var types []EventType
	for e, err := range rt.Events(t.Context(), options) {
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, e.Type)
	}
	return types
}

func TestEventOptions(t *testing.T) {
	home := t.TempDir()
	rt, other := openRuntime(t, home), openRuntime(t, home)
	web, err := rt.Create(t.Context(), BoxSpec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Create(t.Context(), BoxSpec{}); err != nil {
		t.Fatal(err)
	}
	if err := web.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options EventOptions
		want    int
	}{
		"all":             {EventOptions{}, 3},
		"name":            {EventOptions{Boxes: []string{"web"}}, 2},
		"part of a name":  {EventOptions{Boxes: []string{"we"}}, 0},
		"ID":              {EventOptions{Boxes: []string{web.ID()}}, 2},
		"prefix or other": {EventOptions{Boxes: []string{"nosuch", web.ID()[:8]}}, 2},
		"nothing":         {EventOptions{Boxes: []string{""}}, 0},
		"type":            {EventOptions{Types: []EventType{EventRemoved, EventExec}}, 1},
		"both":            {EventOptions{Boxes: []string{"web"}, Types: []EventType{EventCreated}}, 1},
	} {
		if got := eventTypes(t, other, c.options); len(got) != c.want {
			t.Errorf("%s: got %v, want %d", name, got, c.want)
		}
	}
}

// Who stops reading gets no more.
func TestEventsBreak(t *testing.T) {
	rt := openRuntime(t, t.TempDir())
	for range 2 {
		if _, err := rt.Create(t.Context(), BoxSpec{}); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for range rt.Events(t.Context(), EventOptions{Follow: true}) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("got %d", n)
	}
}

func TestEventsEndWithTheRuntime(t *testing.T) {
	rt := openRuntime(t, t.TempDir())
	if _, err := rt.Create(t.Context(), BoxSpec{}); err != nil {
		t.Fatal(err)
	}
	var last error
	for e, err := range rt.Events(t.Context(), EventOptions{Follow: true}) {
		if last = err; e.Type == EventCreated {
			if err := rt.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if !errors.Is(last, ErrStopped) {
		t.Errorf("got %v", last)
	}
	for _, err := range rt.Events(t.Context(), EventOptions{}) {
		if !errors.Is(err, ErrStopped) {
			t.Errorf("got %v", err)
		}
	}
}
