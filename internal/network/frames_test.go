package network

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/boxlite-go/boxlite/internal/network/link"
)

func TestLimitsHoldOverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond = 1_000_000
		limit := limiter(perSecond)
		start, sent := time.Now(), 0
		for range 200 {
			wait(t.Context(), limit, link.MaxFrame)
			sent += link.MaxFrame
		}
		took := time.Since(start).Seconds()
		if rate := float64(sent) / took; rate < 0.98*perSecond || rate > 1.02*perSecond {
			t.Errorf("%.0f bytes per second", rate)
		}
	})
}

func TestFramesAlwaysPassALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := limiter(1000) // less than a frame
		start := time.Now()
		wait(t.Context(), limit, link.MaxFrame)
		wait(t.Context(), limit, link.MaxFrame)
		if took := time.Since(start); took < time.Minute || took > 2*time.Minute {
			t.Errorf("two frames took %v", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wait(ctx, limit, link.MaxFrame)
		if took := time.Since(start); took > 2*time.Minute {
			t.Errorf("waited after the end")
		}
	})
}

func TestNoLimit(t *testing.T) { wait(t.Context(), limiter(0), 1<<40) }
