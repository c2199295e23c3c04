package e2e

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
)

func restartPolicy(t *testing.T, text string) boxlite.RestartPolicy {
	t.Helper()
	p, err := boxlite.ParseRestartPolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// runs returns how often a box has been started, and why it ended last.
func runs(t *testing.T, box *boxlite.Box) (restarts int, status boxlite.Status) {
	t.Helper()
	info, err := box.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.Restarts, info.Status
}

// TestRestartOnFailure: a box that fails is started again, as often as its policy
// says, and all of its output can be had.
func TestRestartOnFailure(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{
		Cmd:     []string{"sh", "-c", "echo x >> /root/runs; wc -l < /root/runs; exit 3"},
		Restart: restartPolicy(t, "on-failure:2"),
	})
	var out bytes.Buffer
	command, ended := box.Attach(), 0
	command.Stdout = &out
	for {
		err := command.Run(t.Context())
		if errors.Is(err, boxlite.ErrStopped) {
			break
		}
		if exit, ok := errors.AsType[*boxlite.ExitError](err); !ok || exit.Code != 3 {
			t.Fatalf("got %v", err)
		}
		ended++
		command = command.Next()
	}
	if ended != 3 || strings.Join(strings.Fields(out.String()), " ") != "1 2 3" {
		t.Errorf("%d runs: %q", ended, &out)
	}
	if restarts, status := runs(t, box); restarts != 2 || status != boxlite.StatusStopped {
		t.Errorf("started again %d times, and is %s", restarts, status)
	}
}

// TestRestartAlways: whatever kills a box, it is started again, until somebody
// stops it.
func TestRestartAlways(t *testing.T) {
	needMachine(t)
	t.Parallel()
	home := t.TempDir()
	rt, other := openRuntime(t, boxlite.Options{Home: home}), openRuntime(t, boxlite.Options{Home: home})
	box := newBox(t, rt, boxlite.BoxSpec{Detach: true, Restart: restartPolicy(t, "always"), Cmd: []string{"sleep", "1000"}})
	if err := box.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := box.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, kill := range []func(shimPID, vmmPID int) error{
		func(_, vmmPID int) error { return syscall.Kill(vmmPID, syscall.SIGKILL) },
		func(shimPID, _ int) error { return syscall.Kill(shimPID, syscall.SIGKILL) },
		func(int, int) error {
			// The box may end before it answers, which closes the connection.
			err := box.Signal(context.Background(), "KILL")
			if errors.Is(err, boxlite.ErrStopped) || errors.Is(err, boxlite.ErrRPCTransport) || errors.Is(err, context.Canceled) {
				err = nil
			}
			return err
		},
	} {
		if err := kill(processesOf(t, info.HostDir)); err != nil {
			t.Fatal(err)
		}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ; ; <-tick.C {
			restarts, status := runs(t, box)
			if restarts == i+1 && status == boxlite.StatusRunning {
				break
			}
			if restarts > i+1 {
				t.Fatalf("started again %d times", restarts)
			}
		}
	}
	last := box.Attach()
	if err := last.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	same, err := other.Get(t.Context(), box.ID())
	if err != nil {
		t.Fatal(err)
	}
	if err := same.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = last.Wait() // whichever way it ended
	if err := last.Next().Start(t.Context()); !errors.Is(err, boxlite.ErrStopped) {
		t.Errorf("it is started again though it was stopped: %v", err)
	}
	if restarts, status := runs(t, box); restarts != 3 || status != boxlite.StatusStopped {
		t.Errorf("started again %d times, and is %s", restarts, status)
	}
	noProcesses(t, info.HostDir)
}
