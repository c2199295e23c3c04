package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
)

// awaitExecution waits until a box's execution is as told.
func awaitExecution(t *testing.T, box *boxlite.Box, id string, is func(boxlite.Execution) bool) boxlite.Execution {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := box.Executions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(e boxlite.Execution) bool { return e.ID == id })
		if i < 0 {
			t.Fatalf("there is no execution %s in %+v", id, list)
		}
		if is(list[i]) {
			return list[i]
		}
		<-tick.C
	}
}

// TestExecutions: commands are listed, and joined by another Runtime.
func TestExecutions(t *testing.T) {
	needMachine(t)
	t.Parallel()
	home := t.TempDir()
	rt := openRuntime(t, boxlite.Options{Home: home})
	box := newBox(t, rt, boxlite.BoxSpec{})
	if err := box.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	other, err := openRuntime(t, boxlite.Options{Home: home}).Get(t.Context(), box.ID())
	if err != nil {
		t.Fatal(err)
	}
	ended := func(e boxlite.Execution) bool { return !e.Running() }
	goOn := func(t *testing.T, fifo string) {
		t.Helper()
		if err := other.Command("sh", "-c", "echo new > "+fifo).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("List", func(t *testing.T) {
		c := box.Command("sh", "-c", "echo out; echo oops >&2; exit 3")
		id := leave(t, c)
		e := awaitExecution(t, other, id, ended)
		if !slices.Equal(e.Args, c.Args) || e.Exit == nil || e.Exit.Code != 3 || e.StdoutBytes != 4 || e.StderrBytes != 5 ||
			e.PID != c.PID() || e.EndedAt.Before(e.StartedAt) {
			t.Errorf("got %+v", e)
		}
		// What it wrote can be had after its end.
		out, err := other.AttachExecution(id).Output(t.Context())
		if exit, ok := errors.AsType[*boxlite.ExitError](err); !ok || exit.Code != 3 || string(out) != "out\n" || string(exit.Stderr) != "oops\n" {
			t.Errorf("got %q, %+v", out, err)
		}
	})
	t.Run("Join", func(t *testing.T) {
		c := box.Command("sh", "-c", "mkfifo /tmp/join; printf 0123456789; cat /tmp/join")
		id := leave(t, c)
		if e := awaitExecution(t, other, id, func(e boxlite.Execution) bool { return e.StdoutBytes == 10 }); !e.Running() || e.Exit != nil || e.Processes == 0 {
			t.Errorf("got %+v", e)
		}
		wants := map[int64]string{0: "0123456789new\n", 4: "456789new\n", -1: "new\n"}
		joined := make(map[int64]*boxlite.Command)
		got := make(map[int64]*bytes.Buffer)
		for at := range wants {
			got[at] = &bytes.Buffer{}
			joined[at] = other.AttachExecution(id)
			joined[at].StdoutOffset, joined[at].Stdout = at, got[at]
			start(t, joined[at])
		}
		goOn(t, "/tmp/join")
		for at, want := range wants {
			if err := joined[at].Wait(); err != nil || got[at].String() != want {
				t.Errorf("from %d: %q, %v; want %q", at, got[at], err, want)
			}
		}
	})
	t.Run("Log", func(t *testing.T) {
		const last = 1_000_000
		id := leave(t, box.Command("sh", "-c", "mkfifo /tmp/log; read go < /tmp/log; seq "+fmt.Sprint(last)))
		awaitExecution(t, other, id, func(e boxlite.Execution) bool { return e.Attached == 0 })
		// The pipe is there soon.
		if err := other.Command("sh", "-c", "until [ -p /tmp/log ]; do sleep 0.01; done").Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		goOn(t, "/tmp/log")
		e := awaitExecution(t, other, id, ended)
		var want bytes.Buffer
		for i := range last {
			fmt.Fprintln(&want, i+1)
		}
		if e.StdoutBytes != int64(want.Len()) || want.Len() < 5<<20 {
			t.Errorf("it wrote %d bytes of %d", e.StdoutBytes, want.Len())
		}
		for _, at := range []int64{0, 5<<20 + 3} {
			c := other.AttachExecution(id)
			c.StdoutOffset = at
			out, err := c.Output(t.Context())
			if skipped, _ := c.Skipped(); err != nil || skipped != 0 || !bytes.Equal(out, want.Bytes()[at:]) {
				t.Errorf("from %d: %d bytes, %d skipped, %v", at, len(out), skipped, err)
			}
		}
	})
	t.Run("Unknown", func(t *testing.T) {
		err := other.AttachExecution("nosuch").Run(t.Context())
		if !errors.Is(err, boxlite.ErrNotFound) || !strings.Contains(boxlite.HintOf(err), "boxlite executions") {
			t.Errorf("got %v (%s)", err, boxlite.HintOf(err))
		}
	})
	t.Run("ClientIsKilled", func(t *testing.T) {
		client := exec.Command(program, "--home", home, "exec", box.ID(), "sh", "-c", "mkfifo /tmp/killed; echo before; cat /tmp/killed")
		stdout, err := client.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Start(); err != nil {
			t.Fatal(err)
		}
		expect(t, stdout, "before\n")
		if err := client.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := client.Wait(); err == nil {
			t.Error("the client ended well")
		}
		list, err := other.Executions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(e boxlite.Execution) bool {
			return e.Running() && strings.Contains(strings.Join(e.Args, " "), "/tmp/killed")
		})
		if i < 0 {
			t.Fatalf("it does not run: %+v", list)
		}
		awaitExecution(t, other, list[i].ID, func(e boxlite.Execution) bool { return e.Attached == 0 })
		goOn(t, "/tmp/killed")
		if out, err := other.AttachExecution(list[i].ID).Output(t.Context()); err != nil || string(out) != "before\nnew\n" {
			t.Errorf("got %q, %v", out, err)
		}
	})
	t.Run("StopWithLogs", func(t *testing.T) {
		id := leave(t, box.Command("yes"))
		awaitExecution(t, other, id, func(e boxlite.Execution) bool { return e.StdoutBytes > 8<<20 })
		if err := box.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if list, err := box.Executions(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("a stopped box has %+v, %v", list, err)
		}
		if err := box.AttachExecution(id).Run(t.Context()); !errors.Is(err, boxlite.ErrStopped) {
			t.Errorf("got %v", err)
		}
	})
}
