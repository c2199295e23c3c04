package guest

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseUse(t *testing.T) {
	page := uint64(os.Getpagesize())
	const rest = " S 1 77 42 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 12345 4096000 7 184467"
	for _, test := range []struct {
		text string
		id   int
		want session
		ok   bool
	}{
		{"99 (sleep)" + rest, 42, session{memory: 7 * page, cpu: time.Second}, true},
		{"99 (a) b) (c)" + rest, 42, session{memory: 7 * page, cpu: time.Second}, true},
		{"99 (sleep) S 1 2 3", 0, session{}, false},
		{"", 0, session{}, false},
		{strings.Replace("99 (x)"+rest, " 42 ", " x ", 1), 0, session{}, false},
	} {
		id, got, ok := parseUse([]byte(test.text))
		if id != test.id || got != test.want || ok != test.ok {
			t.Errorf("%q: got %d, %+v, %v", test.text, id, got, ok)
		}
	}
}

func FuzzParseUse(f *testing.F) {
	f.Add([]byte("99 (sleep) S 1 77 42 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 12345 4096000 7 184467"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, s, ok := parseUse(text); ok && s.cpu < 0 {
			t.Errorf("CPU time %v", s.cpu)
		}
	})
}

func TestReadSessions(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 1000 & echo started; read line; kill $!")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		_ = cmd.Wait()
	}()
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	if s := readSessions("/proc")[cmd.Process.Pid]; s.processes != 2 || s.memory == 0 {
		t.Errorf("got %+v", s)
	}
}

func TestCutArgs(t *testing.T) {
	args := []string{"echo", "hello", "world"}
	for size, want := range map[int][]string{
		100: args,
		17:  args,
		16:  {"echo", "hello", "worl…"},
		6:   {"echo", "…"},
		0:   {"…"},
	} {
		if got := cutArgs(args, size); !slices.Equal(got, want) {
			t.Errorf("%d: got %q, want %q", size, got, want)
		}
	}
	if got := cutArgs([]string{"äöü"}, 4); !slices.Equal(got, []string{"ä…"}) {
		t.Errorf("cut within a rune: got %q", got)
	}
	if !slices.Equal(args, []string{"echo", "hello", "world"}) {
		t.Errorf("the arguments became %q", args)
	}
}
