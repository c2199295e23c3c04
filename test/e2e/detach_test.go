package e2e

import (
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

// session is boxlite on a terminal.
type session struct {
	*screen
	t             *testing.T
	cmd           *exec.Cmd
	master, slave *os.File
	before        *term.State
}

func onTerminal(t *testing.T, home string, args ...string) *session {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skip("no terminal can be had here: ", err)
	}
	t.Cleanup(func() {
		master.Close()
		slave.Close()
	})
	before, err := term.GetState(int(slave.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	s := &session{screen: &screen{r: master}, t: t, cmd: exec.Command(program, args...), master: master, slave: slave, before: before}
	s.resize(20, 60)
	s.cmd.Env = append(os.Environ(), "BOXLITE_HOME="+home)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = slave, slave, slave
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *session) resize(rows, cols uint16) {
	s.t.Helper()
	if err := pty.Setsize(s.master, &pty.Winsize{Rows: rows, Cols: cols}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *session) typed(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.master, text); err != nil {
		s.t.Fatal(err)
	}
}

// shows types a command that the box's shell runs, and awaits what it prints.
func (s *session) shows(command, text string) {
	s.t.Helper()
	s.typed(command + "\r")
	s.await(s.t, text)
}

// ends waits for boxlite to end, and for the terminal to be as it was.
func (s *session) ends(code int) {
	s.t.Helper()
	err := s.cmd.Wait()
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		s.t.Error(err)
	}
	if code >= 0 && got != code || code < 0 && got == 0 {
		s.t.Errorf("exit code %d, want %d", got, code)
	}
	if after, err := term.GetState(int(s.slave.Fd())); err != nil || *after != *s.before {
		s.t.Errorf("the terminal is not as it was: %v", err)
	}
}

// TestDetachKeys leaves commands on a terminal, and joins them again.
func TestDetachKeys(t *testing.T) {
	needMachine(t)
	t.Parallel()
	home := t.TempDir()
	boxlite := func(args ...string) string {
		t.Helper()
		out, err := ask(append([]string{"--home", home}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	t.Cleanup(func() { boxlite("rm", "--all", "--force") })

	s := onTerminal(t, home, "run", "-it", "--name", "work", "boxlite/base", "sh")
	s.await(t, "# ")
	s.shows("echo main-$((1+1))", "main-2")
	s.typed("\x10\x11") // Ctrl-P, Ctrl-Q
	s.await(t, "hint: it goes on")
	s.ends(0)
	if status := boxlite("inspect", "-f", "{{.status}}", "work"); strings.TrimSpace(status) != "running" {
		t.Fatalf("the box is %s", status)
	}
	s = onTerminal(t, home, "attach", "work")
	s.shows("echo again-$((1+1))", "again-2")
	s.typed("\x10\x11")
	s.await(t, "boxlite attach work")
	s.ends(0)

	s = onTerminal(t, home, "exec", "-it", "--detach-keys", "ctrl-a,x", "work", "sh")
	s.await(t, "# ")
	s.shows("echo exec-$((1+1))", "exec-2")
	s.await(t, "# ")
	s.resize(33, 77)
	s.shows("until stty size | grep -q '33 77'; do sleep 0.05; done; echo resized-$((1+1))", "resized-2")
	for _, end := range []struct{ keys, code string }{{"\x03", "130"}, {"\x1c", "131"}} { // Ctrl-C, Ctrl-\
		s.shows(tailing, "running-2")
		s.typed(end.keys)
		s.await(t, "# ")
		s.shows("echo status-$?", "status-"+end.code)
	}
	s.typed("\x01x")
	s.await(t, "boxlite attach work ")
	for !strings.Contains(s.seen.String(), "\n") {
		buf := make([]byte, 256)
		n, err := s.master.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		s.seen.Write(buf[:n])
	}
	id := strings.TrimSpace(s.seen.String())
	s.ends(0)

	s = onTerminal(t, home, "attach", "work", id)
	s.shows("echo joined-$((1+1))", "joined-2")
	// The box ends under it.
	boxlite("kill", "work")
	s.ends(-1)
}
