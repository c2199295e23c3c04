package box

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/boxlite-go/boxlite/internal/audit"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// names returns what the log says of names: of each renaming, before and after.
func names(t *testing.T, s *Store) (all []string) {
	t.Helper()
	for e, err := range s.log.Events(t.Context(), audit.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == audit.Renamed {
			all = append(all, e.PreviousName+">"+e.Name)
		}
	}
	return all
}

func expectNames(t *testing.T, s *Store, want ...string) {
	t.Helper()
	if got := fmt.Sprint(names(t, s)); got != fmt.Sprint(want) {
		t.Errorf("recorded %v, want %v", got, want)
	}
}

func TestRename(t *testing.T) {
	s := newStore(t)
	r, other := create(t, s, "web"), create(t, s, "other")
	l := lockBox(t, s, r.ID)
	for name, kind := range map[string]error{
		"": protocol.KindInvalidArgument, "-x": protocol.KindInvalidArgument, "other": protocol.KindAlreadyExists,
	} {
		if err := l.Rename(t.Context(), name); !errors.Is(err, kind) || protocol.HintOf(err) == "" {
			t.Errorf("%q: got %v", name, err)
		}
	}
	for _, name := range []string{"web", "shop", "web", "shop"} {
		if err := l.Rename(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	l.Unlock()
	expectNames(t, s, "web>shop", "shop>web", "web>shop")
	if id, err := s.Find("shop"); err != nil || id != r.ID || s.Name(r.ID) != "shop" {
		t.Errorf("found %q, %v", id, err)
	}
	if _, err := s.Find("web"); !errors.Is(err, protocol.KindNotFound) {
		t.Errorf("the name before is still found: %v", err)
	}
	// The name before is free again.
	if err := lockBox(t, s, other.ID).Rename(t.Context(), "web"); err != nil {
		t.Error(err)
	}
}

// TestRenameTakesANameOnce: of many who want a name at the same time, by creating
// or by renaming, one gets it.
func TestRenameTakesANameOnce(t *testing.T) {
	s := newStore(t)
	var won sync.Map
	var wg sync.WaitGroup
	for i := range 8 {
		r := create(t, s, fmt.Sprint("box", i))
		wg.Go(func() {
			l, err := s.Lock(t.Context(), r.ID)
			if err != nil {
				t.Error(err)
				return
			}
			defer l.Unlock()
			if err := l.Rename(t.Context(), "one"); err == nil {
				won.Store(r.ID, true)
			} else if !errors.Is(err, protocol.KindAlreadyExists) {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if r, err := s.Create(t.Context(), Config{Name: "one"}); err == nil {
				won.Store(r.ID, true)
			} else if !errors.Is(err, protocol.KindAlreadyExists) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n := 0
	won.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d boxes got the name", n)
	}
}

// TestRenameCutShort: whoever looks next records a renaming that has happened, and
// forgets one that has not.
func TestRenameCutShort(t *testing.T) {
	s := newStore(t)
	r := create(t, s, "web")
	note := func(text string) {
		if err := os.WriteFile(filepath.Join(s.Dir(r.ID), fileUnrecorded), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	look := func() {
		if _, err := s.Load(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		if s.isUnrecorded(r.ID) {
			t.Error("the note is still there")
		}
	}
	note("renamed web") // killed before the name was written
	look()
	note("renamed old") // killed after it was
	look()
	note("renamed old") // and after it was recorded
	look()
	note("renamed ../x") // damaged
	look()
	note("created x")
	look()
	expectNames(t, s, "old>web")
	// One that had no name.
	anonymous := create(t, s, "")
	if err := lockBox(t, s, anonymous.ID).Rename(t.Context(), "named"); err != nil {
		t.Error(err)
	}
	expectNames(t, s, "old>web", ">named")
}

// TestRenameUnrecorded: a name that was changed, but could not be recorded, is
// recorded when the box is next looked at, be it by who removes it.
func TestRenameUnrecorded(t *testing.T) {
	s := newStore(t)
	r := create(t, s, "web")
	l := lockBox(t, s, r.ID)
	path := filepath.Dir(logPath(s))
	if err := errors.Join(os.Rename(path, path+".kept"), os.WriteFile(path, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := l.Rename(t.Context(), "shop"); err == nil {
		t.Error("it is not missed in the log")
	}
	if err := errors.Join(os.Remove(path), os.Rename(path+".kept", path)); err != nil {
		t.Fatal(err)
	}
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	expectNames(t, s, "web>shop")
}
