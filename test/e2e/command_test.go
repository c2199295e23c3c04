package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/boxlite-go/boxlite"
)

// openRuntime opens a home for one test, and checks at its end that nothing is
// left running.
func openRuntime(t *testing.T, options boxlite.Options) *boxlite.Runtime {
	t.Helper()
	if options.Home == "" {
		options.Home = t.TempDir()
	}
	rt, err := boxlite.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
	return rt
}

func newBox(t *testing.T, rt *boxlite.Runtime, spec boxlite.BoxSpec) *boxlite.Box {
	t.Helper()
	box, err := rt.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := rt.Remove(context.Background(), box.ID(), true)
		if err != nil && !errors.Is(err, boxlite.ErrNotFound) && !errors.Is(err, boxlite.ErrStopped) {
			t.Error(err)
		}
	})
	return box
}

// TestCommand uses one box for all that commands can do.
func TestCommand(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{Env: []string{"BOX=yes"}})

	t.Run("Output", func(t *testing.T) {
		c := box.Command("sh", "-c", "echo $BOX $MINE; pwd; cat")
		c.Env, c.Dir = []string{"MINE=too"}, "/tmp"
		out, err := c.Output(t.Context())
		if err != nil || string(out) != "yes too\n/tmp\n" {
			t.Errorf("got %q, %v", out, err)
		}
	})
	t.Run("ExitError", func(t *testing.T) {
		out, err := box.Command("sh", "-c", "echo out; echo oh dear >&2; exit 3").Output(t.Context())
		exit, ok := errors.AsType[*boxlite.ExitError](err)
		if !ok || exit.Code != 3 || exit.Signal != 0 || string(exit.Stderr) != "oh dear\n" || string(out) != "out\n" {
			t.Errorf("got %q, %+v", out, err)
		}
		err = box.Command("sh", "-c", "kill -KILL $$").Run(t.Context())
		if exit, ok = errors.AsType[*boxlite.ExitError](err); !ok || exit.Code != 137 || exit.Signal != 9 {
			t.Errorf("got %+v", err)
		}
	})
	t.Run("CombinedOutput", func(t *testing.T) {
		out, err := box.Command("sh", "-c", "echo out; echo err >&2").CombinedOutput(t.Context())
		if err != nil || len(out) != len("out\nerr\n") || !bytes.Contains(out, []byte("err\n")) {
			t.Errorf("got %q, %v", out, err)
		}
	})
	t.Run("NotFound", func(t *testing.T) {
		err := box.Command("nosuch").Run(t.Context())
		if !errors.Is(err, boxlite.ErrExecution) || !errors.Is(err, fs.ErrNotExist) || boxlite.HintOf(err) == "" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("NotExecutable", func(t *testing.T) {
		err := box.Command("/etc/passwd").Run(t.Context())
		if !errors.Is(err, boxlite.ErrExecution) || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("UnknownUser", func(t *testing.T) {
		c := box.Command("id")
		c.User = "nosuch"
		if err := c.Run(t.Context()); !errors.Is(err, boxlite.ErrInvalidArgument) || boxlite.HintOf(err) == "" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("ByteExact", func(t *testing.T) {
		data := make([]byte, 5<<20+123)
		for i := range data {
			data[i] = byte(rand.Uint32())
		}
		c := box.Command("cat")
		c.Stdin = bytes.NewReader(data)
		out, err := c.Output(t.Context())
		if err != nil || sha256.Sum256(out) != sha256.Sum256(data) {
			t.Errorf("%d of %d bytes come back, %v", len(out), len(data), err)
		}
	})
	t.Run("NothingIsLostWhenACommandEndsAtOnce", func(t *testing.T) {
		for range 20 {
			out, err := box.Command("head", "-c", "100000", "/dev/zero").Output(t.Context())
			if err != nil || len(out) != 100000 {
				t.Fatalf("got %d bytes, %v", len(out), err)
			}
		}
	})
	t.Run("WaitDoesNotWaitForABlockedReader", func(t *testing.T) {
		r, w := io.Pipe()
		defer w.Close()
		c := box.Command("true")
		c.Stdin = r
		if err := c.Run(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("InputThatNobodyReads", func(t *testing.T) {
		c := box.Command("true")
		c.Stdin = bytes.NewReader(make([]byte, 4<<20))
		if err := c.Run(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("InputFails", func(t *testing.T) {
		c := box.Command("cat")
		c.Stdin = io.MultiReader(strings.NewReader("some"), failing{})
		if err := c.Run(t.Context()); !errors.Is(err, errFailing) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("OutputThatNobodyTakes", func(t *testing.T) {
		c := box.Command("yes")
		c.Stdout = failing{}
		err := c.Run(t.Context())
		if exit, ok := errors.AsType[*boxlite.ExitError](err); !ok || exit.Signal != int(syscall.SIGPIPE) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("Cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		r, w := io.Pipe()
		c := box.Command("sh", "-c", "echo $$; exec sleep 1000")
		c.Stdout = w
		if err := c.Start(ctx); err != nil {
			t.Fatal(err)
		}
		var pid int
		if _, err := fmt.Fscan(r, &pid); err != nil {
			t.Fatal(err)
		}
		why := errors.New("changed my mind")
		cancel(why)
		if err := c.Wait(); !errors.Is(err, why) {
			t.Errorf("got %v", err)
		}
		err := box.Command("kill", "-0", fmt.Sprint(pid)).Run(t.Context())
		if _, ok := errors.AsType[*boxlite.ExitError](err); !ok {
			t.Errorf("the command lives on: %v", err)
		}
		if err := box.Command("true").Run(ctx); !errors.Is(err, why) {
			t.Errorf("with an ended context: %v", err)
		}
	})
	t.Run("Signal", func(t *testing.T) {
		r, w := io.Pipe()
		c := box.Command("sh", "-c", "trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done")
		c.Stdout = w
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c.ID() == "" {
			t.Error("it has no ID")
		}
		if _, err := io.ReadFull(r, make([]byte, len("ready\n"))); err != nil {
			t.Fatal(err)
		}
		if err := c.Signal(syscall.SIGUSR1); err != nil {
			t.Error(err)
		}
		err := c.Wait()
		if exit, ok := errors.AsType[*boxlite.ExitError](err); !ok || exit.Code != 9 {
			t.Errorf("got %v", err)
		}
		if err := c.Signal(syscall.SIGUSR1); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("after its end: %v", err)
		}
		if err := c.Start(t.Context()); !errors.Is(err, boxlite.ErrInvalidState) {
			t.Errorf("started twice: %v", err)
		}
	})
	t.Run("Terminal", func(t *testing.T) {
		r, w := io.Pipe()
		c := box.Command("sh", "-c", "test -t 0 && stty size; trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done")
		c.TTY, c.Rows, c.Cols, c.Stdin, c.Stdout = true, 12, 34, strings.NewReader(""), w
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, r, "12 34\r\nready\r\n")
		if err := c.Resize(56, 78); err != nil {
			t.Error(err)
		}
		expect(t, r, "56 78\r\n")
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Run("ManyAtOnce", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				want := fmt.Sprintln("number", i)
				out, err := box.Command("echo", "number", fmt.Sprint(i)).Output(context.Background())
				if err != nil || string(out) != want {
					t.Errorf("got %q, %v; want %q", out, err, want)
				}
			})
		}
		wg.Wait()
	})
	t.Run("UnreadStreamBlocksNoOther", func(t *testing.T) {
		r, w := io.Pipe() // nobody reads
		c := box.Command("yes")
		c.Stdout = w
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := box.Command("true").Run(t.Context()); err != nil {
			t.Error(err)
		}
		_ = c.Signal(os.Kill)
		_ = r.Close()
		_ = c.Wait()
	})
}

var errFailing = errors.New("failing")

type failing struct{}

func (failing) Read([]byte) (int, error)  { return 0, errFailing }
func (failing) Write([]byte) (int, error) { return 0, errFailing }

func expect(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}
