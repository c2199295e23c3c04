package e2e

import (
	"errors"
	"io"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxlite-go/boxlite"
)

// TestCommandsLeaveNothing counts what commands leave in the program that ran them.
// It has the process for itself, and so is not parallel.
func TestCommandsLeaveNothing(t *testing.T) {
	needMachine(t)
	box := newBox(t, openRuntime(t, boxlite.Options{}), boxlite.BoxSpec{})
	if err := box.Command("true").Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	before := descriptors(t)
	for range 10 {
		c := box.Command("cat")
		stdin, stdout, _ := pipesTo(t, c)
		start(t, c)
		if _, err := io.WriteString(stdin, "hello"); err != nil {
			t.Fatal(err)
		}
		expect(t, stdout, "hello")
		if err := stdin.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Wait(); err != nil {
			t.Error(err)
		}

		c = box.Command("true") // with an input that never ends
		pipesTo(t, c)
		if err := c.Run(t.Context()); err != nil {
			t.Error(err)
		}

		c = box.Command("nosuch")
		pipesTo(t, c)
		if err := c.Run(t.Context()); !errors.Is(err, boxlite.ErrExecution) {
			t.Errorf("got %v", err)
		}

		c = box.Command("sleep", "1000")
		pipesTo(t, c)
		start(t, c)
		if err := c.Detach(); err != nil {
			t.Error(err)
		}
		if err := c.Wait(); !errors.Is(err, boxlite.ErrDetached) {
			t.Errorf("got %v", err)
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, before it were %d", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
