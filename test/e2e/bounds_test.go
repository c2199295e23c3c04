package e2e

import (
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
)

// TestCommandEndsWithItsGroup: a timeout, and the end of a context, end a command
// with all of its process group.
func TestCommandEndsWithItsGroup(t *testing.T) {
	needMachine(t)
	t.Parallel()
	box := newBox(t, openRuntime(t, boxlite.Options{}), boxlite.BoxSpec{})
	if err := box.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		command      string
		code, signal int
	}{
		"sleep":    {"exec sleep 7000", 128 + int(syscall.SIGTERM), int(syscall.SIGTERM)},
		"stubborn": {"trap '' TERM; sleep 7000 & sleep 7000 & while :; do sleep 0.1; done", 128 + int(syscall.SIGKILL), int(syscall.SIGKILL)},
		"obedient": {"trap 'exit 0' TERM; while :; do sleep 0.1; done", 0, 0},
		"leader":   {"(trap '' TERM; exec sleep 7000) & trap 'exit 5' TERM; while :; do sleep 0.1; done", 5, 0},
	} {
		t.Run("Timeout/"+name, func(t *testing.T) {
			t.Parallel()
			marker := "timeout-" + name
			c := box.Command("sh", "-c", strings.ReplaceAll(test.command, "sleep 7000", "sh -c 'sleep 7000; :' "+marker), marker)
			c.Timeout = time.Second
			err := c.Run(t.Context())
			exit, ok := errors.AsType[*boxlite.ExitError](err)
			if !ok || !errors.Is(err, boxlite.ErrTimeout) || !exit.TimedOut || exit.Code != test.code || exit.Signal != test.signal {
				t.Errorf("got %+v", err)
			}
			gone(t, box, marker)
		})
	}
	t.Run("Timeout/streams are held", func(t *testing.T) {
		t.Parallel()
		input, open := io.Pipe()
		defer open.Close()
		unread, output := io.Pipe()
		c := box.Command("yes", "timeout-held")
		c.Stdin, c.Stdout, c.Timeout = input, output, time.Second
		start(t, c)
		gone(t, box, "timeout-held") // though nobody has read
		go func() { _, _ = io.Copy(io.Discard, unread) }()
		if err := c.Wait(); !errors.Is(err, boxlite.ErrTimeout) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("Timeout/nobody is attached", func(t *testing.T) {
		t.Parallel()
		c := box.Command("sleep", "1000")
		c.Timeout, c.Detached = time.Second, true
		id := leave(t, c)
		if err := box.AttachExecution(id).Run(t.Context()); !errors.Is(err, boxlite.ErrTimeout) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("Timeout/not reached", func(t *testing.T) {
		t.Parallel()
		c := box.Command("sh", "-c", "exit 3")
		c.Timeout = time.Hour
		err := c.Run(t.Context())
		if exit, ok := errors.AsType[*boxlite.ExitError](err); !ok || exit.Code != 3 || exit.TimedOut || errors.Is(err, boxlite.ErrTimeout) {
			t.Errorf("got %+v", err)
		}
	})
	t.Run("Cancel", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := box.Command("sh", "-c", "trap '' TERM; sh -c 'sleep 1000; :' cancelled & echo ready; while :; do sleep 0.1; done", "cancelled")
		stdout, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(ctx); err != nil {
			t.Fatal(err)
		}
		expect(t, stdout, "ready\n")
		cancel()
		if err := c.Wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		gone(t, box, "cancelled")
	})
	t.Run("CancelLeavesDetached", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := box.Command("sh", "-c", "mkfifo go && echo ready && read line < go; exit 6")
		c.Detached, c.Dir = true, "/tmp"
		stdout, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(ctx); err != nil {
			t.Fatal(err)
		}
		expect(t, stdout, "ready\n")
		cancel()
		if err := c.Wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		again := box.AttachExecution(c.ID())
		start(t, again)
		if err := box.Command("sh", "-c", "echo > /tmp/go").Run(t.Context()); err != nil {
			t.Error(err)
		}
		err = again.Wait()
		if exit, ok := errors.AsType[*boxlite.ExitError](err); !ok || exit.Code != 6 {
			t.Errorf("got %v", err)
		}
	})
}

// leave starts a command and detaches from it.
func leave(t *testing.T, c *boxlite.Command) (id string) {
	t.Helper()
	start(t, c)
	if err := c.Detach(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); !errors.Is(err, boxlite.ErrDetached) {
		t.Fatalf("got %v", err)
	}
	return c.ID()
}

// TestCommandLimits: they hold for the command with all that it starts, and nothing
// of them is left.
func TestCommandLimits(t *testing.T) {
	needMachine(t)
	t.Parallel()
	box := newBox(t, openRuntime(t, boxlite.Options{}), boxlite.BoxSpec{})
	limited := func(l boxlite.Limits, script string) *boxlite.Command {
		c := box.Command("sh", "-c", script)
		c.Limits = l
		return c
	}
	t.Run("Impossible", func(t *testing.T) {
		for _, l := range []boxlite.Limits{
			{MemoryMiB: -1},
			{Processes: -1},
			{CPUs: -1},
			{CPUs: 0.001},
			{CPUs: math.NaN()},
			{CPUs: math.Inf(1)},
		} {
			if err := limited(l, "true").Run(t.Context()); !errors.Is(err, boxlite.ErrInvalidArgument) || boxlite.HintOf(err) == "" {
				t.Errorf("%+v: %v", l, err)
			}
		}
		for _, d := range []time.Duration{-1, time.Microsecond} {
			c := box.Command("true")
			c.Timeout = d
			if err := c.Run(t.Context()); !errors.Is(err, boxlite.ErrInvalidArgument) || boxlite.HintOf(err) == "" {
				t.Errorf("%v: %v", d, err)
			}
		}
	})
	t.Run("AsSeenInTheBox", func(t *testing.T) {
		out, err := limited(boxlite.Limits{CPUs: 0.1, MemoryMiB: 33, Processes: 21},
			"cd /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup) && cat cpu.max memory.max pids.max").Output(t.Context())
		if want := "10000 100000\n34603008\n21\n"; err != nil || string(out) != want {
			t.Errorf("got %q, %v; want %q", out, err, want)
		}
	})
	t.Run("Memory", func(t *testing.T) {
		c := limited(boxlite.Limits{MemoryMiB: 16}, "exec "+eatMemory)
		err := c.Run(t.Context())
		exit, ok := errors.AsType[*boxlite.ExitError](err)
		if !ok || !exit.OutOfMemory || exit.Code != 137 || exit.Signal != int(syscall.SIGKILL) {
			t.Errorf("got %+v", err)
		}
		if peak := c.Usage().MaxMemoryBytes; peak < 8<<20 || peak > 16<<20 {
			t.Errorf("it had %d bytes", peak)
		}
		if err := box.Command("true").Run(t.Context()); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
	t.Run("Processes", func(t *testing.T) {
		_, err := limited(boxlite.Limits{Processes: 5}, "for i in 1 2 3 4 5 6 7 8; do sleep 7100 & done").Output(t.Context())
		exit, ok := errors.AsType[*boxlite.ExitError](err)
		if !ok || !strings.Contains(string(exit.Stderr), "fork") {
			t.Errorf("got %+v", err)
		}
		// All but the container's init, and itself.
		if err := box.Command("sh", "-c", "kill -KILL -1").Run(t.Context()); err != nil {
			t.Errorf("end those that it left: %v", err)
		}
		gone(t, box, "sleep 7100")
	})
	t.Run("ManyInARow", func(t *testing.T) {
		for range 100 {
			if err := limited(boxlite.Limits{MemoryMiB: 32, CPUs: 0.5, Processes: 10}, ":").Run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		out, err := box.Command("sh", "-c", "ls -d /sys/fs/cgroup/*/").Output(t.Context())
		if want := "/sys/fs/cgroup/all/\n"; err != nil || string(out) != want {
			t.Errorf("these cgroups are left: %q, %v", out, err)
		}
	})
	t.Run("Usage", func(t *testing.T) {
		c := limited(boxlite.Limits{MemoryMiB: 100}, "dd if=/dev/zero of=/dev/null bs=20M count=1; i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done")
		start(t, c)
		if u := c.Usage(); u != (boxlite.Usage{}) {
			t.Errorf("before its end: %+v", u)
		}
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
		u := c.Usage()
		if u.UserTime <= 0 || u.UserTime > time.Hour || u.SystemTime < 0 || u.MaxMemoryBytes < 20<<20 || u.MaxMemoryBytes > 100<<20 {
			t.Errorf("got %+v", u)
		}
	})
}
