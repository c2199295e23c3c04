package faults

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/boxlite-go/boxlite"
)

// roleVariable turns the test program into a program that uses BoxLite: a creator.
const roleVariable = "FAULTS_CREATOR"

// create is the creator. Its arguments are a home, "attached" or "detached", the
// name of a box, and what to do with it, step by step. It prints each step that is
// done. Steps that begin with "run" are done at once, up to the next other one.
func create(args []string) int {
	rt, err := boxlite.Open(boxlite.Options{Home: args[0], Detach: args[1] == "detached"})
	if err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	defer rt.Close()
	var group errgroup.Group
	for _, step := range args[3:] {
		perform := func() error {
			if err := do(context.Background(), rt, args[2], step); err != nil {
				return fmt.Errorf("%s: %w", step, err)
			}
			fmt.Println("done:", step)
			return nil
		}
		if strings.HasPrefix(step, "run ") {
			group.Go(perform)
		} else if err = cmp.Or(group.Wait(), perform()); err != nil {
			break
		}
	}
	if err = cmp.Or(err, group.Wait()); err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	return 0
}

func do(ctx context.Context, rt *boxlite.Runtime, name, step string) error {
	verb, argument, _ := strings.Cut(step, " ")
	switch verb {
	case "create":
		_, err := rt.Create(ctx, boxlite.BoxSpec{Name: name, MemoryMiB: 128, CPUs: 1})
		return err
	case "create-job":
		_, err := rt.Create(ctx, boxlite.BoxSpec{Name: name, MemoryMiB: 128, CPUs: 1, Cmd: strings.Fields(argument)})
		return err
	case "import":
		_, err := rt.Images().Pull(ctx, argument, boxlite.PullOptions{})
		return err
	case "run": // beside all others
		box, err := rt.Create(ctx, boxlite.BoxSpec{Name: argument, MemoryMiB: 128, CPUs: 1})
		if err != nil {
			return err
		}
		return box.Command("true").Run(ctx)
	case "all":
		return nil
	case "wait":
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	}
	box, err := rt.Get(ctx, name)
	if err != nil {
		return err
	}
	switch verb {
	case "start":
		return box.Start(ctx)
	case "attach":
		return box.Attach().Run(ctx)
	case "write":
		return write(ctx, box, argument)
	case "stop":
		return box.Stop(ctx)
	case "remove":
		return box.Remove(ctx)
	case "rename":
		return box.Rename(ctx, "other")
	}
	return errors.New("no such step")
}

// creator is a process that runs create.
type creator struct {
	cmd    *exec.Cmd
	tmp    string
	stdin  io.Closer
	output bytes.Buffer // once ended is closed
	ended  chan struct{}
}

// startCreator starts a creator that tells l how far it is. It is killed when the
// test ends, at the latest.
func startCreator(t *testing.T, home string, l *listener, args ...string) *creator {
	t.Helper()
	c := &creator{ended: make(chan struct{}), tmp: filepath.Join(filepath.Dir(home), "tmp")}
	c.cmd = exec.Command(os.Args[0], append([]string{home}, args...)...)
	c.cmd.Env = environment(c.tmp, l.path)
	c.cmd.Stdout, c.cmd.Stderr = &c.output, &c.output
	var err error
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = c.cmd.Wait() // what it did is in its output
		close(c.ended)
	}()
	t.Cleanup(c.kill)
	return c
}

// kill ends the creator at once.
func (c *creator) kill() {
	_ = c.cmd.Process.Signal(syscall.SIGKILL) // it may have ended
	<-c.ended
}

// finish lets the creator come to its end, and returns what it did.
func (c *creator) finish(t *testing.T) []string {
	t.Helper()
	_ = c.stdin.Close()
	select {
	case <-c.ended:
	case <-patience(t).Done():
		t.Errorf("the creator does not end")
		c.kill()
	}
	return c.done()
}

// done returns the steps that a creator that has ended has done.
func (c *creator) done() (steps []string) {
	lines := bufio.NewScanner(bytes.NewReader(c.output.Bytes()))
	for lines.Scan() {
		if step, ok := strings.CutPrefix(lines.Text(), "done: "); ok {
			steps = append(steps, step)
		}
	}
	return steps
}
