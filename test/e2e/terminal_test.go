package e2e

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// TestTerminal runs boxlite on a terminal, as a person does.
func TestTerminal(t *testing.T) {
	needMachine(t)
	t.Parallel()
	cmd := exec.Command(program, "run", "-it", "--rm", "boxlite/base", "sh")
	cmd.Env = append(os.Environ(), "BOXLITE_HOME="+t.TempDir())
	master, slave, err := pty.Open()
	if err != nil {
		t.Skip("no terminal can be had here: ", err)
	}
	defer master.Close()
	defer slave.Close()
	if err := pty.Setsize(master, &pty.Winsize{Rows: 20, Cols: 60}); err != nil {
		t.Fatal(err)
	}
	before, err := term.GetState(int(slave.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	screen := &screen{r: master}
	typed := func(text string) {
		t.Helper()
		if _, err := io.WriteString(master, text); err != nil {
			t.Fatal(err)
		}
	}
	screen.await(t, "# ")
	typed("stty size; echo done-$((1+1))\r")
	screen.await(t, "20 60\r\n", "done-2")
	// Ctrl-C interrupts what runs in the box, not boxlite.
	typed(tailing + "\r")
	screen.await(t, "running-2")
	typed("\x03")
	screen.await(t, "# ")
	typed("echo status-$?\r")
	screen.await(t, "status-130")
	if err := pty.Setsize(master, &pty.Winsize{Rows: 31, Cols: 71}); err != nil {
		t.Fatal(err)
	}
	// The size follows soon.
	typed("until stty size | grep -q '31 71'; do sleep 0.05; done; echo resized-$((1+1))\r")
	screen.await(t, "resized-2")
	typed("exit 5\r")
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 5 {
		t.Errorf("got %v", err)
	}
	after, err := term.GetState(int(slave.Fd()))
	if err != nil || *after != *before {
		t.Errorf("the terminal is not as it was: %v", err)
	}
}

// tailing is a command that prints "running-2" and waits. What it prints comes from
// the very program that waits: before that runs, the shell, which does not mind, would
// get the signal of a key.
const tailing = "echo running-$((1+1)) > /tmp/said; tail -f /tmp/said"

// screen is what a terminal has shown.
type screen struct {
	r    io.Reader
	seen bytes.Buffer
}

// await reads on until all texts have been shown, in this order.
func (s *screen) await(t *testing.T, texts ...string) {
	t.Helper()
	buf := make([]byte, 4096)
	for _, text := range texts {
		for {
			if _, after, found := strings.Cut(s.seen.String(), text); found {
				s.seen.Reset()
				s.seen.WriteString(after)
				break
			}
			n, err := s.r.Read(buf)
			s.seen.Write(buf[:n])
			if err != nil {
				t.Fatalf("waiting for %q, saw %q: %v", text, &s.seen, err)
			}
		}
	}
}
