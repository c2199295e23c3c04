package boxlite

import (
	"os"
	"syscall"
	"testing"
)

func TestParseSignal(t *testing.T) {
	for text, want := range map[string]uint32{
		"": 0, "SIGTERM": 15, "term": 15, "9": 9, "sigkill": 9, "RTMIN+3": 37, "SIGRTMIN+3": 37, "64": 64,
	} {
		if got, err := parseSignal(text); got != want || err != nil {
			t.Errorf("%q: got %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"SIG", "0", "65", "-1", "NOTHING", "RTMIN+31", "RTMIN+x"} {
		if got, err := parseSignal(text); err == nil {
			t.Errorf("%q: got %d", text, got)
		}
	}
}

func TestGuestSignal(t *testing.T) {
	for sig, want := range map[os.Signal]uint32{
		os.Interrupt: 2, os.Kill: 9, syscall.SIGTERM: 15, syscall.SIGUSR1: 10, syscall.SIGCHLD: 17,
	} {
		if got, err := guestSignal(sig); got != want || err != nil {
			t.Errorf("%v: got %d, %v; want %d", sig, got, err, want)
		}
	}
	if _, err := guestSignal(syscall.Signal(0)); err == nil {
		t.Error("signal 0 is one")
	}
}

func TestExitErrorText(t *testing.T) {
	for _, c := range []struct {
		err  ExitError
		want string
	}{
		{ExitError{Code: 3}, "exit code 3"},
		{ExitError{Code: 137, Signal: 9}, "ended by SIGKILL"},
		{ExitError{Code: 143, Signal: 15, TimedOut: true}, "ended by SIGTERM: it ran for longer than it may"},
		{ExitError{Code: 137, Signal: 9, OutOfMemory: true}, "ended by SIGKILL: it ran out of memory"},
		{ExitError{Code: 162, Signal: 34}, "ended by signal 34"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestTailBuffer(t *testing.T) {
	var b tailBuffer
	for i := range 5 * keptStderr {
		_, _ = b.Write([]byte{byte(i)})
	}
	got := b.Bytes()
	if len(got) != keptStderr || cap(b.data) > 4*keptStderr {
		t.Errorf("it keeps %d bytes in %d", len(got), cap(b.data))
	}
	last := 5*keptStderr - 1
	if got[len(got)-1] != byte(last) || got[0] != byte(last-keptStderr+1) {
		t.Error("it keeps other bytes than the last")
	}
}
