package e2e

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite"
)

// TestMetricsGrow: what commands do shows in the box's metrics.
func TestMetricsGrow(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{Name: "busy"})
	read := func() boxlite.BoxMetrics {
		t.Helper()
		m, err := box.Metrics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	run := func(command string) {
		t.Helper()
		if err := box.Command("sh", "-c", command).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if m := read(); m.Status != boxlite.StatusConfigured || m.Guest != nil || m.Host != nil || m.CreateDuration != nil {
		t.Errorf("a box that was never started: %+v", m)
	}

	run("true")
	before := read()
	if before.Guest == nil || before.GuestError != "" {
		t.Fatalf("got %+v", before)
	}
	if before.Guest.Pressure == nil {
		t.Error("the kernel tells of no pressure")
	}
	if *before.CPUPercent <= 0 || *before.CreateDuration < *before.GuestBootDuration || *before.GuestBootDuration <= 0 ||
		before.Host.VMM.MemoryBytes < 32<<20 || before.Host.Shim.MemoryBytes == 0 {
		t.Errorf("on the host: %+v", before)
	}
	if g := before.Guest; g.CPU.Count != 1 || g.Memory.Total < 256<<20 || g.Filesystem.Size < 1<<30 || g.Filesystem.Inodes == 0 {
		t.Errorf("of the machine: %+v", g)
	}

	sleep := box.Command("sleep", "1000")
	if err := sleep.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list := read().Executions; len(list) != 1 || list[0].ID != sleep.ID() || list[0].Processes != 1 || list[0].MemoryBytes == 0 {
		t.Errorf("commands that run: %+v", list)
	}
	if err := sleep.Signal(os.Kill); err != nil {
		t.Error(err)
	}
	_ = sleep.Wait() // killed

	c := box.Command("sh", "-c", "head -c 10000; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
	c.Stdin = strings.NewReader(strings.Repeat("x", 10000))
	if out, err := c.Output(t.Context()); err != nil || len(out) != 10000 {
		t.Fatalf("got %d bytes, %v", len(out), err)
	}
	if err := box.Command("nosuch").Run(t.Context()); !errors.Is(err, boxlite.ErrExecution) {
		t.Errorf("got %v", err)
	}
	run("dd if=/dev/urandom of=/root/file bs=1M count=8 && sync")
	run("mkdir /dev/shm/x && dd if=/dev/zero of=/dev/shm/x/file bs=1M count=16")
	after := read()

	grown := map[string][2]uint64{
		"CPU":           {uint64(before.Guest.Container.CPU), uint64(after.Guest.Container.CPU)},
		"memory":        {before.Guest.Container.Memory + 16<<20, after.Guest.Container.Memory},
		"memory's peak": {before.Guest.Container.MemoryPeak + 16<<20, after.Guest.Container.MemoryPeak},
		"disk":          {writtenTo(before) + 8<<20 - 1, writtenTo(after)},
		"file system":   {before.Guest.Filesystem.Used + 8<<20 - 1, after.Guest.Filesystem.Used},
		"commands":      {*before.CommandsExecuted + 2, *after.CommandsExecuted},
		"errors":        {*before.ExecErrors, *after.ExecErrors},
		"bytes sent":    {*before.BytesSent + 9999, *after.BytesSent},
		"received":      {*before.BytesReceived + 9999, *after.BytesReceived},
		"uptime":        {uint64(before.Guest.Uptime), uint64(after.Guest.Uptime)},
		"host's CPU":    {uint64(before.Host.VMM.CPU), uint64(after.Host.VMM.CPU)},
	}
	for what, values := range grown {
		if values[1] <= values[0] {
			t.Errorf("%s: %d is not above %d", what, values[1], values[0])
		}
	}
	if percent, ok := after.CPUPercentSince(before); !ok || percent <= 0 {
		t.Errorf("CPU: %v, %t", percent, ok)
	}

	var text bytes.Buffer
	if err := rt.WritePrometheus(t.Context(), &text); err != nil || !strings.Contains(text.String(), `boxlite_box_cpu_seconds_total{box="busy",mode="user"} `) {
		t.Errorf("got %v\n%s", err, &text)
	}
	if m, err := rt.Metrics(t.Context()); err != nil || m.BoxesCreated != 1 || m.RunningBoxes != 1 || m.CommandsExecuted != 6 || m.ExecErrors != 1 {
		t.Errorf("got %+v, %v", m, err)
	}

	// A paused box does not answer, and is not asked.
	if err := box.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m := read(); m.Status != boxlite.StatusPaused || m.Guest != nil || m.GuestError != "" || m.Host == nil {
		t.Errorf("paused: %+v", m)
	}
	if _, err := box.Processes(t.Context()); !errors.Is(err, boxlite.ErrInvalidState) || boxlite.HintOf(err) == "" {
		t.Errorf("processes of a paused box: %v", err)
	}
	if err := box.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := box.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m := read(); m.Status != boxlite.StatusStopped || m.Guest != nil || m.Host != nil || m.CreateDuration == nil || m.DiskUsedBytes == 0 {
		t.Errorf("stopped: %+v", m)
	}
	if m, err := rt.Metrics(t.Context()); err != nil || m.BoxesStopped != 1 || m.RunningBoxes != 0 {
		t.Errorf("got %+v, %v", m, err)
	}
}

// writtenTo is what was written to the box's own disk.
func writtenTo(m boxlite.BoxMetrics) uint64 {
	for _, d := range m.Guest.Disks {
		if d.Serial == "boxlite-disk" {
			return d.WrittenBytes
		}
	}
	return 0
}

func TestProcesses(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{Cmd: []string{"sh", "-c", "sleep 1001; true"}, User: "65534"})
	if _, err := box.Processes(t.Context()); !errors.Is(err, boxlite.ErrInvalidState) || boxlite.HintOf(err) == "" {
		t.Errorf("of a box that doesn't run: %v", err)
	}
	if err := box.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for {
		list, err := box.Processes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		byArgs := func(args ...string) *boxlite.Process {
			i := slices.IndexFunc(list, func(p boxlite.Process) bool { return slices.Equal(p.Args, args) })
			if i < 0 {
				return nil
			}
			return &list[i]
		}
		parent, child := byArgs("sh", "-c", "sleep 1001; true"), byArgs("sleep", "1001")
		if parent == nil || child == nil || child.Name != "sleep" {
			continue // the shell has not come to it yet
		}
		if child.Parent != parent.PID || parent.Parent != 0 || child.UID != 65534 || child.Threads != 1 ||
			child.MemoryBytes == 0 || child.StartedAt.IsZero() {
			t.Errorf("got %+v and %+v", parent, child)
		}
		if slices.ContainsFunc(list, func(p boxlite.Process) bool { return strings.Contains(p.Name, "guest") || p.Name == "kthreadd" }) {
			t.Errorf("processes of the machine are listed: %+v", list)
		}
		return
	}
}
