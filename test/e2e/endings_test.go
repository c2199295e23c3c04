package e2e

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/boxlite-go/boxlite"
)

// eatMemory needs more than is left of smallMemory, but not more than there is.
const (
	eatMemory   = "dd if=/dev/zero of=/dev/null bs=100M count=1"
	smallMemory = 128
)

// TestOutOfMemory: a main process that the guest's kernel kills for want of memory
// is told from one that somebody kills.
func TestOutOfMemory(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	for name, test := range map[string]struct{ command, reason string }{
		"itself":       {"exec " + eatMemory, "oom"},
		"its child":    {eatMemory + "; exit $?", "oom"},
		"not memory":   {"kill -KILL $$", "exited"},
		"its children": {eatMemory + "; exit 0", "exited"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			box := newBox(t, rt, boxlite.BoxSpec{MemoryMiB: smallMemory, Cmd: []string{"sh", "-c", test.command}})
			err := box.Attach().Run(t.Context())
			exit, failure := box.Wait(t.Context())
			if exit.Reason != test.reason {
				t.Fatalf("got %+v, %v; the command: %v", exit, failure, err)
			}
			if test.reason != "oom" {
				if failure != nil {
					t.Errorf("it is an error: %v", failure)
				}
				return
			}
			if exit.Code != 137 || !errors.Is(failure, boxlite.ErrResourceExhausted) ||
				!strings.Contains(boxlite.HintOf(failure), "--memory") {
				t.Errorf("got %+v, %v (%s)", exit, failure, boxlite.HintOf(failure))
			}
			info, err := box.Info(t.Context())
			if err != nil || info.Status != boxlite.StatusStopped || info.Error != failure.Error() || info.Hint == "" {
				t.Errorf("got %+v, %v", info, err)
			}
		})
	}
}

// TestPanicAtStart: a guest that panics before the box runs says why.
func TestPanicAtStart(t *testing.T) {
	needMachine(t)
	t.Parallel()
	home := t.TempDir()
	replaceAgent(t, home, "leaver")
	rt := openRuntime(t, boxlite.Options{Home: home})
	box := newBox(t, rt, boxlite.BoxSpec{})
	err := box.Start(t.Context())
	if !errors.Is(err, boxlite.ErrEngine) || !strings.Contains(err.Error(), "Kernel panic - not syncing: Attempted to kill init!") ||
		!strings.Contains(err.Error(), "had enough") || strings.ContainsAny(err.Error(), "\r\n\x1b") {
		t.Errorf("got %q", err)
	}
	info, e := box.Info(t.Context())
	if e != nil || info.Status != boxlite.StatusFailed || info.Exit.Reason != "failed" || info.Error != err.Error() {
		t.Errorf("got %+v, %v", info, e)
	}
	noProcesses(t, info.HostDir)
}

// TestPanic: a guest that panics while its box runs ends it, with the reason. What
// was synced is kept.
func TestPanic(t *testing.T) {
	needMachine(t)
	t.Parallel()
	home := t.TempDir()
	replaceAgent(t, home, "panicky")
	rt := openRuntime(t, boxlite.Options{Home: home})
	box := newBox(t, rt, boxlite.BoxSpec{})
	if err := box.Command("sh", "-c", "echo kept > /root/file; sync").Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := box.Command("touch", "/panic").Run(t.Context()); err != nil && !errors.Is(err, boxlite.ErrStopped) {
		t.Logf("the command: %v", err) // the panic may be quicker than its end
	}
	exit, err := box.Wait(t.Context())
	if exit.Reason != "panic" || err == nil || !strings.Contains(err.Error(), "Kernel panic - not syncing: sysrq triggered crash") {
		t.Errorf("got %+v, %v", exit, err)
	}
	info, e := box.Info(t.Context())
	if e != nil || info.Status != boxlite.StatusStopped || info.Exit.Reason != "panic" || info.Error != err.Error() {
		t.Errorf("got %+v, %v", info, e)
	}
	noProcesses(t, info.HostDir)
}

// TestAutoRemoveAfterAFailure: however a box ends, one that is to be removed then is.
func TestAutoRemoveAfterAFailure(t *testing.T) {
	needMachine(t)
	t.Parallel()
	home := t.TempDir()
	replaceAgent(t, home, "panicky")
	rt := openRuntime(t, boxlite.Options{Home: home})
	for name, test := range map[string]struct{ command, reason string }{
		"oom":   {eatMemory, "oom"},
		"lost":  {"sleep 1000", "lost"},
		"panic": {"touch /panic; sleep 1000", "panic"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			box := newBox(t, rt, boxlite.BoxSpec{MemoryMiB: smallMemory, AutoRemove: true, Cmd: []string{"sh", "-c", test.command}})
			if err := box.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if test.reason == "lost" {
				shimPID, _ := processesOf(t, filepath.Join(home, "boxes", box.ID()))
				if err := syscall.Kill(shimPID, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			exit, err := box.Wait(t.Context())
			if errors.Is(err, boxlite.ErrNotFound) {
				exit.Reason = test.reason // it had gone before
			}
			if exit.Reason != test.reason || err == nil {
				t.Errorf("got %+v, %v", exit, err)
			}
			if _, err := box.Info(t.Context()); !errors.Is(err, boxlite.ErrNotFound) {
				t.Errorf("it is left: %v", err)
			}
		})
	}
}
