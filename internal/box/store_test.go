package box

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/boxlite-go/boxlite/internal/audit"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

func newStore(t testing.TB) *Store {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(filepath.Join(dir, "boxes"), audit.New(filepath.Join(dir, "logs")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func create(t testing.TB, s *Store, name string) Record {
	t.Helper()
	r, err := s.Create(t.Context(), Config{Name: name, Image: "boxlite/base", Env: []string{"A=b"}, Cmd: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCreateThenLoad(t *testing.T) {
	s := newStore(t)
	made := create(t, s, "web")
	got, err := s.Load(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Err != nil || got.State.Status != Configured || got.Config.Name != "web" || got.Config.Env[0] != "A=b" {
		t.Errorf("got %+v", got)
	}
	if got.Config.Entrypoint != nil || got.Config.Cmd == nil {
		t.Error("what was not given and what was given empty are not told apart")
	}
	if !idPattern.MatchString(made.ID) {
		t.Errorf("ID %q", made.ID)
	}
	for path, want := range map[string]os.FileMode{"": 0o700, "logs": 0o700, "config.json": 0o600, "state.json": 0o600} {
		info, err := os.Stat(filepath.Join(s.Dir(made.ID), path))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: mode %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"": true, "a": true, "9": true, "web-1.test_x": true, strings.Repeat("a", 128): true,
		"-a": false, ".a": false, "_a": false, "a b": false, "a/b": false, "ä": false, "a\n": false,
		strings.Repeat("a", 129): false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		} else if err != nil && (!errors.Is(err, protocol.KindInvalidArgument) || protocol.HintOf(err) == "") {
			t.Errorf("%q: %v has the wrong kind, or no hint", name, err)
		}
	}
}

func TestNameIsTaken(t *testing.T) {
	s := newStore(t)
	create(t, s, "web")
	create(t, s, "")
	create(t, s, "") // any number of boxes may have none
	_, err := s.Create(t.Context(), Config{Name: "web"})
	if !errors.Is(err, protocol.KindAlreadyExists) {
		t.Fatalf("got %v", err)
	}
	if records, _ := s.List(t.Context()); len(records) != 3 {
		t.Errorf("there are %d boxes", len(records))
	}
}

func TestOneOfManyGetsTheName(t *testing.T) {
	s := newStore(t)
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() { _, errs[i] = s.Create(context.Background(), Config{Name: "web"}) })
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else if !errors.Is(err, protocol.KindAlreadyExists) {
			t.Error(err)
		}
	}
	if made != 1 {
		t.Errorf("%d boxes were made", made)
	}
}

func TestFind(t *testing.T) {
	s := newStore(t)
	for id, name := range map[string]string{
		"aaaaaaaaaaaa": "box-a", "aaaaaaaaaaab": "", "bbbbbbbbbbbb": "box-b", "cccccccccccc": "bbb",
	} {
		put(t, s, Config{Format: 1, ID: id, Name: name})
	}
	for ref, want := range map[string]string{
		"aaaaaaaaaaaa": "aaaaaaaaaaaa", "aaaaaaaaaaab": "aaaaaaaaaaab", "box-a": "aaaaaaaaaaaa", "box-b": "bbbbbbbbbbbb",
		"b": "bbbbbbbbbbbb", "bbb": "cccccccccccc", "bbbb": "bbbbbbbbbbbb", "c": "cccccccccccc",
	} {
		if got, err := s.Find(ref); got != want {
			t.Errorf("%q: got %q, %v; want %q", ref, got, err, want)
		}
	}
	for ref, kind := range map[string]protocol.Kind{
		"a": protocol.KindInvalidArgument, "aaaaaaaaaaa": protocol.KindInvalidArgument,
		"": protocol.KindNotFound, "x": protocol.KindNotFound, "../x": protocol.KindNotFound, "box": protocol.KindNotFound,
	} {
		if _, err := s.Find(ref); !errors.Is(err, kind) || protocol.HintOf(err) == "" {
			t.Errorf("%q: got %v, want %v with a hint", ref, err, kind)
		}
	}
}

// put makes a box with a chosen ID.
func put(t *testing.T, s *Store, c Config) {
	t.Helper()
	if err := s.build(Record{ID: c.ID, Config: c, State: State{Status: Configured}}); err != nil {
		t.Fatal(err)
	}
}

func TestRemoveThenNothingIsLeft(t *testing.T) {
	s := newStore(t)
	r := create(t, s, "web")
	l, err := s.Lock(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context(), r.ID); !errors.Is(err, protocol.KindNotFound) {
		t.Errorf("Load: %v", err)
	}
	if _, err := s.Lock(t.Context(), r.ID); !errors.Is(err, protocol.KindNotFound) {
		t.Errorf("Lock: %v", err)
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != ".lock" {
		t.Errorf("left: %v, %v", entries, err)
	}
	create(t, s, "web") // the name is free again
}

func TestOpenRemovesWhatWasHalfMadeOrDeleted(t *testing.T) {
	s := newStore(t)
	r := create(t, s, "web")
	for _, name := range []string{".new-abc", ".gone-abc-1"} {
		if err := os.MkdirAll(filepath.Join(s.dir, name, "logs"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if records, err := s.List(t.Context()); err != nil || len(records) != 1 {
		t.Errorf("listed: %v, %v", records, err)
	}
	if _, err := Open(s.dir, s.log); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(s.dir, ".*-*"))
	if len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := s.Load(t.Context(), r.ID); err != nil {
		t.Error(err)
	}
}

func TestDamagedRecords(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string){
		"config cut":  func(t *testing.T, dir string) { truncate(t, filepath.Join(dir, fileConfig)) },
		"config gone": func(t *testing.T, dir string) { remove(t, filepath.Join(dir, fileConfig)) },
		"config of another": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, fileConfig), `{"format":1,"id":"zzzzzzzzzzzz"}`)
		},
		"later version": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, fileConfig), `{"format":99,"id":"`+filepath.Base(dir)+`"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			good, bad := create(t, s, "good"), create(t, s, "bad")
			damage(t, s.Dir(bad.ID))
			records, err := s.List(t.Context())
			if err != nil || len(records) != 2 {
				t.Fatalf("got %v, %v", records, err)
			}
			for _, r := range records {
				if r.ID == good.ID && (r.Err != nil || r.State.Status != Configured) {
					t.Errorf("the other box suffers: %+v", r)
				}
				if r.ID == bad.ID && (!errors.Is(r.Err, protocol.KindStorage) || r.State.Status != Unknown) {
					t.Errorf("got %+v", r)
				}
			}
			l, err := s.Lock(t.Context(), bad.ID)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Remove(); err != nil {
				t.Errorf("it can't be removed: %v", err)
			}
		})
	}
}

func TestDamagedStateIsMadeAnew(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"cut": truncate, "gone": remove,
		"unknown status": func(t *testing.T, path string) { write(t, path, `{"status":"sleeping"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			r := create(t, s, "web")
			damage(t, filepath.Join(s.Dir(r.ID), fileState))
			got, err := s.Load(t.Context(), r.ID)
			if err != nil || got.Err != nil || got.State.Status != Stopped || got.State.Error == nil {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func truncate(t *testing.T, path string) {
	t.Helper()
	if err := os.Truncate(path, 10); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkList(b *testing.B) {
	s := newStore(b)
	for i := range 200 {
		create(b, s, fmt.Sprint("box-", i))
	}
	for b.Loop() {
		if records, err := s.List(b.Context()); err != nil || len(records) != 200 {
			b.Fatal(len(records), err)
		}
	}
}
