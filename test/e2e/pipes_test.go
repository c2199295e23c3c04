package e2e

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
)

// pipesTo returns pipes to all streams of a command that has not been started.
func pipesTo(t *testing.T, c *boxlite.Command) (stdin io.WriteCloser, stdout, stderr io.ReadCloser) {
	t.Helper()
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if stdout, err = c.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if stderr, err = c.StderrPipe(); err != nil {
		t.Fatal(err)
	}
	return stdin, stdout, stderr
}

// start starts a command, which the test waits for.
func start(t *testing.T, c *boxlite.Command) {
	t.Helper()
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestCommandPipes: they are as those of os/exec.
func TestCommandPipes(t *testing.T) {
	needMachine(t)
	t.Parallel()
	box := newBox(t, openRuntime(t, boxlite.Options{}), boxlite.BoxSpec{})

	t.Run("Conversation", func(t *testing.T) {
		c := box.Command("sh", "-c", "while read line; do echo $line; echo err $line >&2; done; printf end")
		stdin, stdout, stderr := pipesTo(t, c)
		start(t, c)
		for _, line := range []string{"one\n", "two\n", "three\n"} {
			if _, err := io.WriteString(stdin, line); err != nil {
				t.Fatal(err)
			}
			expect(t, stdout, line)
			expect(t, stderr, "err "+line)
		}
		if err := stdin.Close(); err != nil {
			t.Error(err)
		}
		rest, err := io.ReadAll(stdout)
		if err != nil || string(rest) != "end" {
			t.Errorf("got %q, %v", rest, err)
		}
		if rest, err := io.ReadAll(stderr); err != nil || len(rest) != 0 {
			t.Errorf("got %q, %v", rest, err)
		}
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
		checkClosed(t, stdin, stdout, stderr)
	})
	t.Run("SetAlready", func(t *testing.T) {
		c := box.Command("true")
		pipesTo(t, c)
		checkNoPipe(t, c)
		if err := c.Run(t.Context()); err != nil {
			t.Error(err)
		}
		c = box.Command("true")
		c.Stdin, c.Stdout, c.Stderr = strings.NewReader(""), io.Discard, io.Discard
		checkNoPipe(t, c)
	})
	t.Run("AfterStart", func(t *testing.T) {
		c := box.Command("true")
		start(t, c)
		checkNoPipe(t, c)
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Run("WaitClosesTheInput", func(t *testing.T) {
		c := box.Command("true")
		stdin, stdout, stderr := pipesTo(t, c)
		if err := c.Run(t.Context()); err != nil {
			t.Error(err)
		}
		checkClosed(t, stdin, stdout, stderr)
	})
	t.Run("StartFails", func(t *testing.T) {
		c := box.Command("nosuch")
		stdin, stdout, stderr := pipesTo(t, c)
		if err := c.Start(t.Context()); !errors.Is(err, boxlite.ErrExecution) {
			t.Errorf("got %v", err)
		}
		checkClosed(t, stdin, stdout, stderr)
	})
	t.Run("ReaderGoesAway", func(t *testing.T) {
		c := box.Command("yes")
		stdout, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		start(t, c)
		expect(t, stdout, "y\ny\n")
		if err := stdout.Close(); err != nil {
			t.Error(err)
		}
		err = c.Wait()
		if exit, ok := errors.AsType[*boxlite.ExitError](err); !ok || exit.Signal != int(syscall.SIGPIPE) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("CancelledWithOutputUnread", func(t *testing.T) {
		c := box.Command("yes", "unread-cancelled")
		stdout, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if err := c.Start(ctx); err != nil {
			t.Fatal(err)
		}
		expect(t, stdout, "unread-cancelled\n")
		cancel()
		if err := c.Wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		gone(t, box, "unread-cancelled")
	})
	t.Run("TimedOutWithOutputUnread", func(t *testing.T) {
		c := box.Command("yes", "unread-timed-out")
		c.Timeout = time.Second
		if _, err := c.StdoutPipe(); err != nil {
			t.Fatal(err)
		}
		if err := c.Run(t.Context()); !errors.Is(err, boxlite.ErrTimeout) {
			t.Errorf("got %v", err)
		}
		gone(t, box, "unread-timed-out")
	})
}

func checkNoPipe(t *testing.T, c *boxlite.Command) {
	t.Helper()
	_, in := c.StdinPipe()
	_, out := c.StdoutPipe()
	_, errs := c.StderrPipe()
	for _, err := range []error{in, out, errs} {
		if !errors.Is(err, boxlite.ErrInvalidState) {
			t.Errorf("got %v", err)
		}
	}
}

func checkClosed(t *testing.T, stdin io.Writer, outputs ...io.Reader) {
	t.Helper()
	if _, err := stdin.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("standard input: %v", err)
	}
	for _, r := range outputs {
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("output: %v", err)
		}
	}
}

// gone waits until no process of the box has text in its command line.
func gone(t *testing.T, box *boxlite.Box, text string) {
	t.Helper()
	// The brackets keep grep from finding itself, and the shell too.
	pattern := "[" + text[:1] + "]" + text[1:]
	c := box.Command("sh", "-c", `while ps -o args | grep -q "$PATTERN"; do sleep 0.05; done`)
	c.Env = []string{"PATTERN=" + pattern}
	if err := c.Run(t.Context()); err != nil {
		t.Errorf("wait for the end of %s: %v", text, err)
	}
}
