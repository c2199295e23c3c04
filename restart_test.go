package boxlite

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// brokenBox returns a box that has failed to start, with a restart policy, and the
// run that its Runtime believes to have ended.
func brokenBox(t *testing.T, rt *Runtime, policy string) (*Box, *run) {
	t.Helper()
	p, err := ParseRestartPolicy(policy)
	if err != nil {
		t.Fatal(err)
	}
	b, err := rt.Create(t.Context(), BoxSpec{Image: "oci:" + filepath.Join(t.TempDir(), "none"), Restart: p})
	if err != nil {
		t.Fatal(err)
	}
	if b.Start(t.Context()) == nil {
		t.Fatal("it starts without an image")
	}
	return b, &run{number: 1, policy: p, since: time.Now()}
}

// TestRestartOfABoxThatDoesNotStart: it is tried as often as the policy says, after
// longer and longer times.
func TestRestartOfABoxThatDoesNotStart(t *testing.T) {
	rt := openRuntime(t, t.TempDir())
	var slept []time.Duration
	rt.sleep = func(_ context.Context, d time.Duration) error {
		slept = append(slept, d)
		return nil
	}
	b, ended := brokenBox(t, rt, "on-failure:5")
	next := rt.planRestart(b.ID(), ended)
	if next == nil {
		t.Fatal("it is not to be started again")
	}
	rt.again(b.ID(), next)
	if next.run != nil || next.err == nil || errors.Is(next.err, ErrStopped) {
		t.Errorf("got %v, %v", next.run, next.err)
	}
	const ms = time.Millisecond
	if want := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, time.Second, 600 * ms}; !slices.Equal(slept, want) {
		t.Errorf("slept %v, want %v", slept, want)
	}
	info, err := b.Info(t.Context())
	if err != nil || info.Status != StatusFailed || info.Restarts != 5 || info.Restart.String() != "on-failure:5" {
		t.Errorf("got %+v, %v", info, err)
	}
	if rt.planRestart(b.ID(), &run{number: 6, policy: ended.policy}) != nil {
		t.Error("it is to be started a sixth time")
	}
	if err := b.Start(t.Context()); err == nil {
		t.Error("it starts")
	}
	if info, err := b.Info(t.Context()); err != nil || info.Restarts != 0 {
		t.Errorf("the count does not begin anew: %+v, %v", info, err)
	}
}

// TestRestartIsGivenUp: while a box waits to be started again, others decide what
// becomes of it.
func TestRestartIsGivenUp(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(t *testing.T, b *Box) error // of another Runtime
		kind      Kind
	}{
		"stopped": {func(t *testing.T, b *Box) error { return b.Stop(t.Context()) }, ErrStopped},
		"killed":  {func(t *testing.T, b *Box) error { return b.Kill(t.Context()) }, ErrStopped},
		"removed": {func(t *testing.T, b *Box) error { return b.Remove(t.Context()) }, ErrNotFound},
		"started": {func(t *testing.T, b *Box) error {
			if b.Start(t.Context()) == nil {
				return errors.New("it starts")
			}
			return nil
		}, ErrStopped},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			rt, other := openRuntime(t, home), openRuntime(t, home)
			b, ended := brokenBox(t, rt, "always")
			same, err := other.Get(t.Context(), b.ID())
			if err != nil {
				t.Fatal(err)
			}
			rt.sleep = func(context.Context, time.Duration) error { return test.meanwhile(t, same) }
			next := rt.planRestart(b.ID(), ended)
			if next == nil {
				t.Fatal("it is not to be started again")
			}
			rt.again(b.ID(), next)
			if !errors.Is(next.err, test.kind) {
				t.Errorf("got %v", next.err)
			}
		})
	}
}

func TestCloseEndsRestarts(t *testing.T) {
	rt, err := Open(Options{Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan struct{})
	rt.sleep = func(ctx context.Context, _ time.Duration) error {
		close(waiting)
		<-ctx.Done()
		return context.Cause(ctx)
	}
	b, ended := brokenBox(t, rt, "always")
	next := rt.planRestart(b.ID(), ended)
	rt.watchers.Go(func() { rt.again(b.ID(), next) })
	<-waiting

	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := next.await(impatient, launch{}); !errors.Is(err, context.Canceled) {
		t.Errorf("who does not wait: %v", err)
	}
	joined := make(chan error)
	go func() {
		_, err := next.await(context.Background(), launch{})
		joined <- err
	}()
	if err := rt.Close(); err != nil {
		t.Error(err)
	}
	if err := <-joined; !errors.Is(err, ErrStopped) {
		t.Errorf("who waits: %v", err)
	}
}

func TestOneJoinsARestart(t *testing.T) {
	var n restart
	begin := func(context.Context, *run) error { return nil }
	if !n.join(launch{begin: begin}) || n.join(launch{begin: begin}) {
		t.Error("two may begin the same process")
	}
	if !n.leave() || !n.join(launch{begin: begin}) {
		t.Error("nobody may, after one has left")
	}
	if o := n.take(); o.begin == nil || o.restart != &n {
		t.Errorf("got %+v", o)
	}
	if n.leave() || n.join(launch{}) {
		t.Error("it is too late")
	}
}
