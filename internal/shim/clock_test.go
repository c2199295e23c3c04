package shim

import (
	"context"
	"testing"
	"time"
)

func TestClockJumps(t *testing.T) {
	for _, test := range []struct {
		name        string
		wall, awake time.Duration
		want        bool
	}{
		{"an ordinary second", time.Second, time.Second, false},
		{"a late tick", 3 * time.Second, 3 * time.Second, false},
		{"adjusted by little", time.Second + 10*time.Millisecond, time.Second, false},
		{"the host slept", 8 * time.Hour, time.Second, true},
		{"set back", -time.Minute, time.Second, true},
		{"set forward", time.Second + 50*time.Millisecond, time.Second, true},
	} {
		if got := jumped(test.wall, test.awake); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}

// TestClockWatchIsQuiet: nothing is told while the clock just runs, nor in the end.
func TestClockWatchIsQuiet(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	jumps := watchClock(ctx)
	cancel()
	select {
	case <-jumps:
		t.Error("a jump was told, and there was none")
	default:
	}
}
