package faults

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/internal/shim"
	"github.com/boxlite-go/boxlite/test/leak"
)

// kill is a process that is killed when it, or another, comes to a stage.
type kill struct {
	victim   string // "creator", "shim" or "vmm"
	stage    string
	detached bool
	steps    []string // what the creator does with the box
}

func (k kill) name() string {
	name := k.victim + " at " + k.stage
	if k.detached {
		name += ", detached"
	}
	return name
}

// runsOn reports whether the box may go on afterwards.
func (k kill) runsOn() bool { return k.detached && k.victim == "creator" }

// kills is every victim at every stage at which there is one.
func kills() (all []kill) {
	starting, stopping := []string{"start", "wait"}, []string{"start", "write 1", "stop"}
	add := func(steps []string, victims string, stages ...string) {
		for _, stage := range stages {
			for victim := range strings.FieldsSeq(victims) {
				victim, detached := strings.CutSuffix(victim, "/detached")
				all = append(all, kill{victim, stage, detached, steps})
			}
		}
	}
	add(starting, "creator creator/detached",
		"start/recorded", "start/disk", "start/prepared", "start/spawned", "start/shim-answers", "start/box-ready", "start/running")
	add(starting, "creator creator/detached shim", "shim/listening")
	add(starting, "creator creator/detached shim vmm", "shim/vmm", "shim/kernel", "shim/agent", "shim/container")
	add(stopping, "creator creator/detached", "stop/asked", "stop/recorded")
	add(stopping, "creator/detached shim vmm", "shim/stopping", "shim/shut-down")
	add(stopping, "creator creator/detached shim", "shim/machine-ended", "shim/recorded", "shim/leaving")
	add(stopping, "creator", "stop/ended", "stop/stopped")
	return all
}

// TestKilledAtEveryStage kills the creator, the shim and the virtual machine at
// every stage of start, run and stop. Afterwards nothing is left, the box is in a
// true state, it starts again, and what was written is there
// (matchlock#72, sbx-releases#353, kata-containers#2198, #6455, #6757,
// microsandbox#453: processes and records that a crash left for ever).
func TestKilledAtEveryStage(t *testing.T) {
	for _, k := range kills() {
		t.Run(k.name(), func(t *testing.T) {
			t.Parallel()
			home := newHome(t)
			check(t, home, append(strike(t, home, k), "0"), k.runsOn())
		})
	}
}

// strike has a creator do its steps until the victim is killed. It returns the
// files that commands had written and synced.
func strike(t *testing.T, home string, k kill) (written []string) {
	t.Helper()
	mode := "attached"
	if k.detached {
		mode = "detached"
	}
	l := listen(t, k.stage)
	c := startCreator(t, home, l, append([]string{mode, "kept"}, k.steps...)...)
	h := l.await(t, c)
	defer h.release()
	if k.victim == "creator" {
		c.kill()
	} else {
		pid := victim(t, home, k.victim)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatalf("kill %s: %v", k.victim, err)
		}
	}
	h.release()
	steps := c.done
	if k.victim != "creator" {
		steps = func() []string { return c.finish(t) }
	}
	for _, step := range steps() {
		if file, ok := strings.CutPrefix(step, "write "); ok {
			written = append(written, file)
		}
	}
	if t.Failed() {
		t.Logf("the creator said: %s", &c.output)
	}
	return written
}

// victim returns the ID of a process of the box.
func victim(t *testing.T, home, which string) int {
	t.Helper()
	dir := boxDir(t, home)
	if which == "shim" {
		pid, err := shim.PID(dir)
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	client, err := shim.Connect(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	status, err := client.Status(t.Context())
	if err != nil || status.GetVmmPid() == 0 {
		t.Fatalf("the shim knows no machine: %v, %v", status, err)
	}
	return int(status.GetVmmPid())
}

// boxDir returns the folder of the home's only box.
func boxDir(t *testing.T, home string) string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(home, "boxes", "[0-9A-Za-z]*"))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("boxes: %q, %v", dirs, err)
	}
	return dirs[0]
}

// check looks at the home's box after something was killed, with a Runtime that
// knows of nothing: its state is true, it starts, the files are there, and when it
// has been stopped nothing is left.
func check(t *testing.T, home string, written []string, mayRun bool) {
	t.Helper()
	ctx := patience(t)
	rt, err := boxlite.Open(boxlite.Options{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	box, err := rt.Get(ctx, "kept")
	if err != nil {
		t.Fatal(err)
	}
	place := leak.Place{Home: home, Tmp: filepath.Join(filepath.Dir(home), "tmp"), Boxes: []string{box.ID()}}
	if !atRest(ctx, t, box, mayRun).Active() {
		left, err := place.Processes(ctx)
		if err != nil || len(left) > 0 {
			t.Errorf("left: %q, %v", left, err)
		}
	}
	if err := box.Start(ctx); err != nil {
		t.Fatalf("it can't be started again: %v", err)
	}
	out, err := box.Command("sh", "-c", "cd /root && cat "+strings.Join(written, " ")).Output(ctx)
	if want := strings.Join(written, "\n") + "\n"; err != nil || string(out) != want {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
	if err := box.Stop(ctx); err != nil {
		t.Error(err)
	}
	if info, err := box.Info(ctx); err != nil || info.Status != boxlite.StatusStopped || info.Error != "" {
		t.Errorf("stopped, it is %s: %q, %v", info.Status, info.Error, err)
	}
	if err := rt.Close(); err != nil {
		t.Error(err)
	}
	if left, err := place.All(ctx); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// atRest waits until the box is in a state that lasts, which running is only if it
// may, and returns that. It must be true: a box that runs has a shim that says so,
// and another has none.
func atRest(ctx context.Context, t *testing.T, box *boxlite.Box, mayRun bool) boxlite.Status {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		info, err := box.Info(ctx)
		if err != nil {
			t.Fatal(err)
		}
		truth, err := whatRuns(ctx, info.HostDir)
		switch {
		case slices.Contains([]boxlite.Status{boxlite.StatusConfigured, boxlite.StatusStopped, boxlite.StatusFailed}, info.Status):
			if truth != "" {
				t.Errorf("it is said to be %s, and its shim says %q", info.Status, truth)
			}
			return info.Status
		case mayRun && info.Status == boxlite.StatusRunning && truth == shim.StageRunning:
			return info.Status
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it stays %s for ever, and its shim says %q, %v", info.Status, truth, err)
		}
	}
}

// whatRuns returns what the shim of a box says, or "" if there is none.
func whatRuns(ctx context.Context, dir string) (string, error) {
	client, err := shim.Connect(ctx, dir)
	if errors.Is(err, boxlite.ErrStopped) {
		return "", nil
	}
	if err != nil {
		return fmt.Sprint(err), err
	}
	defer client.Close()
	status, err := client.Status(ctx)
	return status.GetStage(), err
}
