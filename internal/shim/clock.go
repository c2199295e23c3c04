package shim

import (
	"context"
	"time"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

const (
	// clockInterval is how often the host's clock is looked at, without waking the
	// guest, where nothing tells that it was set.
	clockInterval = time.Second
	// clockTolerance is by how much the host's clock must have jumped then.
	clockTolerance = 20 * time.Millisecond
	// clockDrift is after how long the guest's clock is set without a jump.
	clockDrift = time.Minute
	// clockTimeout is how long the guest may take to answer.
	clockTimeout = 5 * time.Second
)

// keepTime keeps the guest's clock with the host's until the run ends: after the
// host has slept, or its clock was set, at once, as jumps tells; and now and then, as
// no two clocks run the same.
func (p *process) keepTime(ctx context.Context, jumps <-chan struct{}) {
	tick := time.NewTicker(clockDrift)
	defer tick.Stop()
	for {
		select {
		case <-jumps:
		case <-tick.C:
		case <-p.end:
			return
		}
		p.keepTimeOnce(ctx)
	}
}

// lookForJumps looks at the clock now and then, until ctx ends.
func lookForJumps(ctx context.Context) <-chan struct{} {
	jumps := make(chan struct{}, 1)
	go func() {
		tick := time.NewTicker(clockInterval)
		defer tick.Stop()
		last := time.Now()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			now := time.Now()
			// Round strips the reading of the clock that stands still while the host
			// sleeps, and that Sub prefers.
			if jumped(now.Round(0).Sub(last.Round(0)), now.Sub(last)) {
				tell(jumps)
			}
			last = now
		}
	}()
	return jumps
}

// tell says that there was a jump, if that isn't being said already.
func tell(jumps chan<- struct{}) {
	select {
	case jumps <- struct{}{}:
	default:
	}
}

// jumped reports whether the wall clock has gone on by another time than the clock
// that nobody sets and that stands still while the host sleeps.
func jumped(wall, awake time.Duration) bool { return (wall - awake).Abs() > clockTolerance }

// keepTimeOnce sets the clock of a guest that is not paused; one that is gets the
// time when it goes on.
func (p *process) keepTimeOnce(ctx context.Context) {
	p.pausing.Lock()
	defer p.pausing.Unlock()
	if p.paused.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, clockTimeout)
	defer cancel()
	if err := p.setTime(ctx); err != nil && ctx.Err() == nil && !p.isEnding() {
		p.log.Warn("set the guest's clock", "error", err)
	}
}

// setTime gives the guest the host's time. The end of the run, which waits for who
// holds pausing, ends it too.
func (p *process) setTime(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-p.end:
			cancel()
		case <-over:
		}
	}()
	_, err := boxlitev1.NewGuestClient(p.guest).SetTime(ctx, &boxlitev1.SetTimeRequest{UnixNanos: time.Now().UnixNano()})
	return rpc.FromStatus(err)
}
