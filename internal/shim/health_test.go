package shim

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestHealthAfterChecks(t *testing.T) {
	check := &HealthCheck{StartPeriod: time.Minute, Retries: 2}
	type result struct {
		at     time.Duration
		failed bool
	}
	const late = 2 * time.Minute
	for _, test := range []struct {
		name    string
		results []result
		status  string
		streak  int
	}{
		{"none yet", nil, HealthStarting, 0},
		{"the first succeeds", []result{{0, false}}, HealthHealthy, 0},
		{"failures while it starts", []result{{0, true}, {1, true}, {2, true}}, HealthStarting, 0},
		{"one failure after the start period", []result{{0, true}, {late, true}}, HealthStarting, 1},
		{"too many", []result{{0, true}, {late, true}, {late, true}}, HealthUnhealthy, 2},
		{"it was well before it had to be", []result{{0, false}, {1, true}, {2, true}}, HealthUnhealthy, 2},
		{"one failure of a healthy box", []result{{late, false}, {late, true}}, HealthHealthy, 1},
		{"it recovers", []result{{late, true}, {late, true}, {late, true}, {late, false}}, HealthHealthy, 0},
	} {
		h := Health{Status: HealthStarting}
		for _, r := range test.results {
			h = h.after(check, r.failed, r.at)
		}
		if h.Status != test.status || h.FailingStreak != test.streak {
			t.Errorf("%s: got %s with %d, want %s with %d", test.name, h.Status, h.FailingStreak, test.status, test.streak)
		}
	}
}

// TestHealthMonitor checks when checks run, on a clock of the test's own.
func TestHealthMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var latest atomic.Pointer[Health]
		var running, checks, saves atomic.Int32
		type behaviour struct {
			took time.Duration
			err  error
		}
		var next atomic.Pointer[behaviour] // of the checks from now on
		next.Store(&behaviour{took: 2 * time.Second})
		m := &healthMonitor{
			check: &HealthCheck{Interval: 10 * time.Second, Timeout: 5 * time.Second, Retries: 2},
			save:  func(h Health) { latest.Store(&h); saves.Add(1) },
		}
		m.probe = func(ctx context.Context) (string, error) {
			checks.Add(1)
			if running.Add(1) > 1 {
				t.Error("two checks at the same time")
			}
			defer func() { running.Add(-1) }()
			how := next.Load()
			select {
			case <-time.After(how.took):
				return "said", how.err
			case <-ctx.Done():
				return "began", ctx.Err()
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var done atomic.Bool
		go func() { m.run(ctx); done.Store(true) }()
		last := func() Health {
			synctest.Wait()
			return *latest.Load()
		}
		pass := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}
		if h := last(); h.Status != HealthStarting || h.CheckedAt != nil {
			t.Errorf("at first: %+v", h)
		}
		pass(12 * time.Second)
		if h := last(); h.Status != HealthHealthy || h.Output != "said" || !h.CheckedAt.Equal(began.Add(10*time.Second)) {
			t.Errorf("after the first check: %+v", h)
		}
		// The next check begins at 22 s, and is too slow.
		next.Store(&behaviour{took: time.Hour})
		pass(15 * time.Second)
		if h := last(); h.FailingStreak != 1 || h.Output != "began\nthe check took longer than 5s" {
			t.Errorf("after a slow check: %+v", h)
		}
		// The one at 37 s is ended by a pause, which lasts. It counts for nothing.
		pass(11 * time.Second)
		m.hold()
		if running.Load() != 0 {
			t.Error("a check goes on while the box is paused")
		}
		before, ran := saves.Load(), checks.Load()
		pass(time.Hour)
		if saves.Load() != before || checks.Load() != ran {
			t.Errorf("%d checks while the box was paused, and %d results", checks.Load()-ran, saves.Load()-before)
		}
		m.release()
		next.Store(&behaviour{err: errors.New("exit code 1")})
		pass(11 * time.Second)
		if h := last(); h.Status != HealthUnhealthy || h.FailingStreak != 2 {
			t.Errorf("after the pause: %+v", h)
		}
		// The end of the run ends a check.
		next.Store(&behaviour{took: time.Hour})
		pass(11 * time.Second)
		before = saves.Load()
		cancel()
		synctest.Wait()
		if !done.Load() || running.Load() != 0 || saves.Load() != before {
			t.Errorf("done %t, %d running, %d results", done.Load(), running.Load(), saves.Load()-before)
		}
	})
}

func TestNoHealthMonitor(t *testing.T) {
	p := &process{}
	p.health = p.newHealthMonitor()
	p.health.hold()
	p.health.release()
	p.watchHealth(t.Context())
}

func TestHealthFile(t *testing.T) {
	dir := t.TempDir()
	none := Health{Status: HealthNone}
	if got := ReadHealth(dir); got != none {
		t.Errorf("without a file: %+v", got)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	want := Health{Status: HealthUnhealthy, FailingStreak: 4, CheckedAt: &at, Output: strings.Repeat("\x01", maxProbeOutput)}
	for range 2 {
		if err := writeHealth(dir, want); err != nil {
			t.Fatal(err)
		}
	}
	if got := ReadHealth(dir); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, damaged := range []string{"", "{", `{"status":"splendid"}`, `"x"`, strings.Repeat(" ", 2*maxHealthFile) + "{}"} {
		if err := os.WriteFile(filepath.Join(dir, fileHealth), []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := ReadHealth(dir); got != none {
			t.Errorf("%.30q: got %+v", damaged, got)
		}
	}
	if err := Forget(dir); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left for the next run: %v, %v", left, err)
	}
}

func TestProbeOutputIsBounded(t *testing.T) {
	var out outputEnd
	for range 100 {
		out.write([]byte(strings.Repeat("x", 1000)))
	}
	out.write([]byte("the end\xff"))
	if got := out.String(); len(got) != maxProbeOutput || !strings.HasSuffix(got, "xthe end?") {
		t.Errorf("%d bytes: %.20q", len(got), got)
	}
}
