package box

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/boxlite-go/boxlite/internal/audit"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// A test may be two processes: the other one is this program again.
const envRole = "BOXLITE_TEST_HOLD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(envRole); dir != "" {
		os.Exit(hold(filepath.Dir(dir), filepath.Base(dir)))
	}
	os.Exit(m.Run())
}

// hold takes a box's lock, sets the box to starting, says so, and lets go when
// its input ends.
func hold(dir, id string) int {
	s, err := Open(dir, audit.New(filepath.Join(filepath.Dir(dir), "logs")))
	if err == nil {
		var l *Locked
		if l, err = s.Lock(context.Background(), id); err == nil {
			state := l.State
			state.Status = Starting
			err = l.Set(state)
		}
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// holder starts the other process. Closing the writer ends it.
func holder(t *testing.T, s *Store, id string) (*exec.Cmd, io.Closer) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envRole+"="+s.Dir(id))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "held\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	return cmd, stdin
}

func TestLockAcrossProcesses(t *testing.T) {
	s := newStore(t)
	r := create(t, s, "web")
	cmd, stdin := holder(t, s, r.ID)

	if l, err := s.TryLock(t.Context(), r.ID); l != nil || err != nil {
		t.Errorf("TryLock: got %v, %v", l, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Lock(ended, r.ID); !errors.Is(err, context.Canceled) || !errors.Is(err, protocol.KindTimeout) {
		t.Errorf("Lock with an ended context: %v", err)
	}
	// A box that another process is starting has no shim yet, and is not dead.
	if got, err := s.Load(t.Context(), r.ID); err != nil || got.State.Status != Starting {
		t.Errorf("Load: %+v, %v", got, err)
	}

	locked := make(chan error)
	go func() {
		l, err := s.Lock(context.Background(), r.ID)
		if err == nil {
			l.Unlock()
		}
		locked <- err
	}()
	_ = stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if err := <-locked; err != nil {
		t.Error(err)
	}
}

func TestStarterWasKilled(t *testing.T) {
	s := newStore(t)
	r := create(t, s, "web")
	cmd, _ := holder(t, s, r.ID)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	got, err := s.Load(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.State.Status != Stopped || got.State.Exit.Reason != ReasonLost || got.State.Error == nil {
		t.Errorf("got %+v", got.State)
	}
}

func TestRunningWithoutShimIsStopped(t *testing.T) {
	s := newStore(t)
	r := create(t, s, "web")
	setTo(t, s, r.ID, Starting, Running)
	write(t, filepath.Join(s.Dir(r.ID), "exit.json"), `{"reason":"exited","status":{"code":5},"unixNanos":"1"}`)
	records, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	state := records[0].State
	if state.Status != Stopped || state.Exit.Reason != "exited" || *state.Exit.Code != 5 || state.Error != nil {
		t.Errorf("got %+v", state)
	}
	if again, err := s.Load(t.Context(), r.ID); err != nil || again.State.Status != Stopped {
		t.Errorf("it is not written down: %+v, %v", again, err)
	}
}

// Which run an exit record is of does not depend on the clock, which may have been
// set back or forth meanwhile.
func TestExitIsOfTheLatestRun(t *testing.T) {
	for name, unixNanos := range map[string]int64{"long ago": 1, "in a hundred years": 4_900_000_000_000_000_000} {
		exit := fmt.Sprintf(`{"reason":"exited","status":{"code":5},"unixNanos":"%d"}`, unixNanos)
		for when, want := range map[string]string{"before": ReasonLost, "after": "exited"} {
			t.Run(name+", written "+when, func(t *testing.T) {
				s := newStore(t)
				r := create(t, s, "web")
				path := filepath.Join(s.Dir(r.ID), "exit.json")
				if when == "before" {
					write(t, path, exit)
				}
				setTo(t, s, r.ID, Starting)
				if when == "after" {
					write(t, path, exit)
				}
				if got, _ := s.Load(t.Context(), r.ID); got.State.Exit == nil || got.State.Exit.Reason != want {
					t.Errorf("got %+v, want %s", got.State.Exit, want)
				}
			})
		}
	}
}

func TestSetRefusesWrongTransitions(t *testing.T) {
	s := newStore(t)
	r := create(t, s, "web")
	l, err := s.Lock(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	if err := l.Set(State{Status: Running}); !errors.Is(err, protocol.KindInvalidState) {
		t.Errorf("got %v", err)
	}
	if got, _ := s.read(r.ID); got.State.Status != Configured || l.State.Status != Configured {
		t.Errorf("it was changed all the same: %+v", got.State)
	}
}

func TestActiveBoxIsNotRemoved(t *testing.T) {
	s := newStore(t)
	r := create(t, s, "web")
	l, err := s.Lock(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Set(State{Status: Starting}); err != nil {
		t.Fatal(err)
	}
	if err := l.Remove(); !errors.Is(err, protocol.KindInvalidState) || protocol.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if _, err := s.Load(t.Context(), r.ID); err != nil {
		t.Error(err)
	}
}

// setTo leads a box through states.
func setTo(t *testing.T, s *Store, id string, statuses ...Status) {
	t.Helper()
	l, err := s.Lock(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	for _, status := range statuses {
		if err := l.Set(State{Status: status}); err != nil {
			t.Fatal(err)
		}
	}
}
