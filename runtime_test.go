package boxlite

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func openRuntime(t *testing.T, home string) *Runtime {
	t.Helper()
	rt, err := Open(Options{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
	return rt
}

func TestHomeIsPrivateAndShared(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	first, second := openRuntime(t, home), openRuntime(t, home)
	info, err := os.Stat(home)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	made, err := first.Create(t.Context(), BoxSpec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"web", made.ID(), made.ID()[:5]} {
		found, err := second.Get(t.Context(), ref)
		if err != nil || found.ID() != made.ID() || found.Name() != "web" {
			t.Errorf("%q: got %v, %v", ref, found, err)
		}
	}
}

func TestHomeOfALaterVersionIsRefused(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "boxlite.lock"), []byte("99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Home: home}); !errors.Is(err, ErrUnsupported) || HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestHomeCanNotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Home: filepath.Join(file, "home")}); !errors.Is(err, ErrStorage) || HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestCreateIsLazy(t *testing.T) {
	rt := openRuntime(t, t.TempDir())
	made, err := rt.Create(t.Context(), BoxSpec{Image: "registry.invalid/no/such:image", Env: []string{"A=b"}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := made.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Status != StatusConfigured || info.Image != "registry.invalid/no/such:image" || info.DiskUsedBytes != 0 {
		t.Errorf("got %+v", info)
	}
	if info.Args == nil || info.Entrypoint == nil || info.Cmd == nil || info.Stages == nil {
		t.Error("an empty list is nil, and prints as null")
	}
	if err := made.Stop(t.Context()); err != nil {
		t.Errorf("stopping a box that doesn't run: %v", err)
	}
	if _, err := made.Wait(t.Context()); !errors.Is(err, ErrInvalidState) {
		t.Errorf("waiting for a box that never ran: %v", err)
	}
	if _, err := rt.Create(t.Context(), BoxSpec{MemoryMiB: 1}); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("wrong spec: %v", err)
	}
}

func TestGetOrCreate(t *testing.T) {
	rt := openRuntime(t, t.TempDir())
	first, created, err := rt.GetOrCreate(t.Context(), BoxSpec{Name: "web"})
	if err != nil || !created {
		t.Fatalf("got %v, %v", created, err)
	}
	second, created, err := rt.GetOrCreate(t.Context(), BoxSpec{Name: "web"})
	if err != nil || created || second.ID() != first.ID() {
		t.Errorf("got %v, %v, %v", second, created, err)
	}
	// A name is a name, even where it is the beginning of an ID.
	third, created, err := rt.GetOrCreate(t.Context(), BoxSpec{Name: first.ID()[:4]})
	if err != nil || !created || third.ID() == first.ID() {
		t.Errorf("got %v, %v, %v", third, created, err)
	}
	if _, _, err := rt.GetOrCreate(t.Context(), BoxSpec{}); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("without a name: %v", err)
	}
}

func TestRemove(t *testing.T) {
	rt := openRuntime(t, t.TempDir())
	made, err := rt.Create(t.Context(), BoxSpec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.Remove(t.Context(), "web", true); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"Remove": made.Remove(t.Context()), "Start": made.Start(t.Context()), "Stop": made.Stop(t.Context()),
		"Command": made.Command("true").Run(t.Context()),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s of a box that is gone: %v", name, err)
		}
	}
	if list, err := rt.List(t.Context()); err != nil || len(list) != 0 || list == nil {
		t.Errorf("List: %v, %v", list, err)
	}
}

func TestFailedStartIsRecorded(t *testing.T) {
	rt := openRuntime(t, t.TempDir())
	made, err := rt.Create(t.Context(), BoxSpec{Image: "oci:" + filepath.Join(t.TempDir(), "none")})
	if err != nil {
		t.Fatal(err)
	}
	startErr := made.Start(t.Context())
	if startErr == nil {
		t.Fatal("it starts without an image")
	}
	info, err := made.Info(t.Context())
	if err != nil || info.Status != StatusFailed || info.Error != startErr.Error() || info.Exit.Reason != "failed" {
		t.Errorf("got %+v, %v", info, err)
	}
	if err := made.Start(t.Context()); err == nil || errors.Is(err, ErrInvalidState) {
		t.Errorf("it can't be tried again: %v", err)
	}
	if err := made.Remove(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDamagedRecordIsListed(t *testing.T) {
	rt := openRuntime(t, t.TempDir())
	made, err := rt.Create(t.Context(), BoxSpec{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(rt.hostPath(made.ID(), "config.json"), 5); err != nil {
		t.Fatal(err)
	}
	list, err := rt.List(t.Context())
	if err != nil || len(list) != 1 || list[0].Status != StatusUnknown || list[0].Error == "" || list[0].Hint == "" {
		t.Errorf("got %+v, %v", list, err)
	}
	if _, err := rt.Get(t.Context(), made.ID()); !errors.Is(err, ErrStorage) {
		t.Errorf("Get: %v", err)
	}
	if err := made.Start(t.Context()); !errors.Is(err, ErrStorage) {
		t.Errorf("Start: %v", err)
	}
	if err := rt.Remove(t.Context(), made.ID(), true); err != nil {
		t.Errorf("Remove: %v", err)
	}
}

func TestClosedRuntime(t *testing.T) {
	rt, err := Open(Options{Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	made, err := rt.Create(t.Context(), BoxSpec{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := rt.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, createErr := rt.Create(t.Context(), BoxSpec{})
	_, listErr := rt.List(t.Context())
	_, infoErr := made.Info(t.Context())
	for name, err := range map[string]error{
		"Create": createErr, "List": listErr, "Info": infoErr, "Start": made.Start(t.Context()), "Stop": made.Stop(t.Context()),
		"Command": made.Command("true").Run(t.Context()),
	} {
		if !errors.Is(err, ErrStopped) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWrongCommands(t *testing.T) {
	rt := openRuntime(t, t.TempDir())
	made, err := rt.Create(t.Context(), BoxSpec{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*Command{
		"no name":      {box: made},
		"empty name":   made.Command(""),
		"zero byte":    made.Command("echo", "a\x00"),
		"relative dir": {box: made, Args: []string{"true"}, Dir: "work"},
		"variable":     {box: made, Args: []string{"true"}, Env: []string{"A"}},
		"user":         {box: made, Args: []string{"true"}, User: "a b"},
	} {
		if err := c.Start(t.Context()); !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
		if err := c.Wait(); !errors.Is(err, ErrInvalidState) {
			t.Errorf("%s: Wait: %v", name, err)
		}
	}
	if err := made.Attach().Start(t.Context()); !errors.Is(err, ErrInvalidState) || HintOf(err) == "" {
		t.Errorf("attaching to a box that idles: %v", err)
	}
	info, err := made.Info(t.Context())
	if err != nil || info.Status != StatusConfigured {
		t.Errorf("a wrong command changes the box: %+v, %v", info, err)
	}
}
