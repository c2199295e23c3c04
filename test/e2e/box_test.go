package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/test/leak"
)

// TestFilesPersist is the life of a box: lazily started, stopped, started again.
func TestFilesPersist(t *testing.T) {
	needMachine(t)
	t.Parallel()
	home := t.TempDir()
	rt := openRuntime(t, boxlite.Options{Home: home})
	box := newBox(t, rt, boxlite.BoxSpec{Name: "keeper"})
	run := func(b *boxlite.Box, command string) string {
		t.Helper()
		out, err := b.Command("sh", "-c", command).Output(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	run(box, "echo kept > /root/file; mkdir /data; ln /root/file /data/link")
	if err := box.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := box.Info(t.Context())
	if err != nil || info.Status != boxlite.StatusStopped || info.Exit.Reason != "stopped" || info.Exit.Code != -1 {
		t.Errorf("got %+v, %v", info, err)
	}
	if got := run(box, "cat /data/link"); got != "kept\n" { // starts it again
		t.Errorf("got %q", got)
	}

	// Another Runtime uses the same box while it runs.
	other := openRuntime(t, boxlite.Options{Home: home})
	same, err := other.Get(t.Context(), "keeper")
	if err != nil {
		t.Fatal(err)
	}
	run(same, "echo more >> /root/file")
	if got := run(box, "cat /root/file"); got != "kept\nmore\n" {
		t.Errorf("got %q", got)
	}
	info, err = same.Info(t.Context())
	if err != nil || info.Status != boxlite.StatusRunning || info.Kernel == "" || info.Isolation.Machine == "" || info.DiskUsedBytes == 0 {
		t.Errorf("got %+v, %v", info, err)
	}
	var stages []string
	for _, s := range info.Stages {
		stages = append(stages, s.Name)
		if s.Duration < 0 {
			t.Errorf("stage %s took %v", s.Name, s.Duration)
		}
	}
	if want := []string{"image", "disk", "engine", "jail", "shim", "network", "vmm", "kernel", "agent", "container"}; !slices.Equal(stages, want) {
		t.Errorf("stages %q, want %q", stages, want)
	}
	// And stops it, which the first finds out.
	if err := same.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if info, err := box.Info(t.Context()); err != nil || info.Status != boxlite.StatusStopped {
		t.Errorf("got %+v, %v", info, err)
	}
	if err := box.Remove(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMainProcess(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{Stdin: true, Cmd: []string{"sh", "-c", "echo out; echo err >&2; cat; exit 4"}})

	var stdout, stderr bytes.Buffer
	c := box.Attach()
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader("typed\nunended"), &stdout, &stderr
	err := c.Run(t.Context())
	if exit, ok := errors.AsType[*boxlite.ExitError](err); !ok || exit.Code != 4 {
		t.Errorf("got %v", err)
	}
	if stdout.String() != "out\ntyped\nunended" || stderr.String() != "err\n" {
		t.Errorf("got %q and %q", &stdout, &stderr)
	}
	exit, err := box.Wait(t.Context())
	if err != nil || exit.Reason != "exited" || exit.Code != 4 {
		t.Errorf("got %+v, %v", exit, err)
	}
	if err := box.Command("true").Run(t.Context()); !errors.Is(err, boxlite.ErrInvalidState) || boxlite.HintOf(err) == "" {
		t.Errorf("a command in a job that has ended: %v", err)
	}
	late := box.Attach()
	late.MustRun = true
	if err := late.Start(t.Context()); !errors.Is(err, boxlite.ErrInvalidState) || !strings.Contains(boxlite.HintOf(err), "start -a") {
		t.Errorf("attached to a main process that has ended: %v", err)
	}
	if info, err := box.Info(t.Context()); err != nil || info.Status != boxlite.StatusStopped {
		t.Errorf("it was started again: %s, %v", info.Status, err)
	}
	var logged []string
	for line, err := range box.Logs(t.Context(), boxlite.LogOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		logged = append(logged, line.Stream+":"+line.Text)
		if line.Time.IsZero() {
			t.Error("a line has no time")
		}
	}
	slices.Sort(logged)
	if want := []string{"stderr:err\n", "stdout:out\n", "stdout:typed\n", "stdout:unended"}; !slices.Equal(logged, want) {
		t.Errorf("logged %q, want %q", logged, want)
	}
}

func TestMainProcessCannotStart(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{Cmd: []string{"nosuch"}})
	for name, start := range map[string]func() error{
		"attached": func() error { return box.Attach().Start(t.Context()) },
		"detached": func() error { return box.Start(t.Context()) },
	} {
		if err := start(); !errors.Is(err, boxlite.ErrExecution) || !errors.Is(err, os.ErrNotExist) || boxlite.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		info, err := box.Info(t.Context())
		if err != nil || info.Status != boxlite.StatusFailed || info.Error == "" || info.Hint == "" {
			t.Errorf("%s: got %+v, %v", name, info, err)
		}
		noProcesses(t, info.HostDir)
	}
}

// noProcesses checks that no shim or machine of a box is left, nor what they leave.
func noProcesses(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Lstat(filepath.Join(dir, "shim.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("shim.json is left: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	left, err := leak.Place{Home: dir, Boxes: []string{filepath.Base(dir)}}.All(ctx)
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %s", err, strings.Join(left, "\n"))
	}
}

func TestCancelledStart(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{})
	ctx, cancel := context.WithCancel(t.Context())
	// The box's record says that it starts before its machine can have booted.
	go func() {
		for {
			if info, err := box.Info(t.Context()); err != nil || info.Status != boxlite.StatusConfigured {
				cancel()
				return
			}
		}
	}()
	if err := box.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	info, err := box.Info(t.Context())
	if err != nil || info.Status != boxlite.StatusFailed {
		t.Errorf("got %+v, %v", info, err)
	}
	noProcesses(t, info.HostDir)
	if err := box.Command("true").Run(t.Context()); err != nil {
		t.Errorf("it can't be started again: %v", err)
	}
}

func TestCloseStopsAttachedBoxesOnly(t *testing.T) {
	needMachine(t)
	t.Parallel()
	home := t.TempDir()
	rt, err := boxlite.Open(boxlite.Options{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	attached, err := rt.Create(t.Context(), boxlite.BoxSpec{Name: "attached"})
	if err != nil {
		t.Fatal(err)
	}
	detached, err := rt.Create(t.Context(), boxlite.BoxSpec{Name: "detached", Detach: true})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, box := range []*boxlite.Box{attached, detached} {
		wg.Go(func() {
			if err := box.Command("sh", "-c", "echo kept > /root/file").Run(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := rt.Close(); err != nil {
		t.Error(err)
	}

	later := openRuntime(t, boxlite.Options{Home: home})
	for name, want := range map[string]boxlite.Status{"attached": boxlite.StatusStopped, "detached": boxlite.StatusRunning} {
		box, err := later.Get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := box.Info(t.Context()); err != nil || info.Status != want {
			t.Errorf("%s: got %+v, %v", name, info, err)
		}
		if out, err := box.Command("cat", "/root/file").Output(t.Context()); err != nil || string(out) != "kept\n" {
			t.Errorf("%s: got %q, %v", name, out, err)
		}
		if err := later.Remove(t.Context(), name, true); err != nil {
			t.Error(err)
		}
	}
}

func TestBoxEndsUnderACommand(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{})
	r, w := io.Pipe()
	c := box.Command("sh", "-c", "echo ready; sleep 1000")
	c.Stdout = w
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, r, "ready\n")
	if err := rt.Remove(t.Context(), box.ID(), true); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); !errors.Is(err, boxlite.ErrStopped) {
		t.Errorf("got %v", err)
	}
}

func TestAutoRemove(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{AutoRemove: true, Cmd: []string{"sh", "-c", "exit 6"}})
	if err := box.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	exit, err := box.Wait(t.Context())
	if err != nil && !errors.Is(err, boxlite.ErrNotFound) || err == nil && exit.Code != 6 {
		t.Errorf("got %+v, %v", exit, err)
	}
	if list, err := rt.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("left: %+v, %v", list, err)
	}
}

// TestDiskTakesWhatIsUsed: a fresh box costs little, and what is deleted in it is
// given back to the host.
func TestDiskTakesWhatIsUsed(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{})
	used := func(command string) int64 {
		t.Helper()
		if err := box.Command("sh", "-c", command+" && sync").Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		info, err := box.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return info.DiskUsedBytes
	}
	if fresh := used("true"); fresh >= 8<<20 {
		t.Errorf("a fresh box takes %d bytes of disk", fresh)
	}
	const file = 32 << 20
	if full := used("dd if=/dev/urandom of=/root/file bs=1M count=32"); full < file {
		t.Errorf("%d bytes hold a file of %d", full, file)
	}
	// The guest discards soon after it has deleted.
	for left := used("rm /root/file"); left >= file; left = used("true") {
		if t.Context().Err() != nil {
			t.Fatalf("%d bytes are still taken", left)
		}
	}
}
