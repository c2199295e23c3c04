package e2e

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/internal/shim"
)

// processesOf returns the processes of a box that runs: its shim and its VMM.
func processesOf(t *testing.T, dir string) (shimPID, vmmPID int) {
	t.Helper()
	shimPID, err := shim.PID(dir)
	if err != nil {
		t.Fatal(err)
	}
	vmmPID, err = findVMM(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return shimPID, vmmPID
}

// findVMM returns the VMM of a box, as its shim knows it: 0 if there is none yet.
func findVMM(ctx context.Context, dir string) (int, error) {
	client, err := shim.Connect(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	status, err := client.Status(ctx)
	return int(status.GetVmmPid()), err
}

// TestKilledProcesses kills what holds a box while a command runs in it (test/faults
// does so at every other stage). Nothing of it stays, the box says what happened, what its commands had synced is there, and it starts again.
func TestKilledProcesses(t *testing.T) {
	needMachine(t)
	for name, test := range map[string]struct {
		victim func(shimPID, vmmPID int) int
		reason string
	}{
		"shim": {func(shimPID, _ int) int { return shimPID }, "lost"},
		"vmm":  {func(_, vmmPID int) int { return vmmPID }, "vmm"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt := openRuntime(t, boxlite.Options{})
			box := newBox(t, rt, boxlite.BoxSpec{Detach: true})
			if err := box.Command("sh", "-c", "echo kept > /root/file; sync").Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			waiting := box.Command("sleep", "1000")
			if err := waiting.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			before, err := box.Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(test.victim(processesOf(t, before.HostDir)), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if err := waiting.Wait(); !errors.Is(err, boxlite.ErrStopped) && !errors.Is(err, boxlite.ErrEngine) {
				t.Errorf("a command in it: %v", err)
			}
			exit, err := box.Wait(t.Context())
			if exit.Reason != test.reason || err == nil {
				t.Errorf("got %+v, %v", exit, err)
			}
			info, err := box.Info(t.Context())
			if err != nil || info.Status != boxlite.StatusStopped || info.Error == "" {
				t.Errorf("got %+v, %v", info, err)
			}
			if out, err := box.Command("cat", "/root/file").Output(t.Context()); err != nil || string(out) != "kept\n" {
				t.Errorf("got %q, %v", out, err)
			}
			if err := box.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			noProcesses(t, info.HostDir)
		})
	}
}
