package shim

import (
	"context"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

const (
	// clockInterval is how often the host's clock is looked at, without waking
	// the guest.
	clockInterval = time.Second
	// clockTolerance is by how much the host's clock must have jumped.
	clockTolerance = 20 * time.Millisecond
	// clockDrift is after how many looks the guest's clock is set without a jump.
	clockDrift = 60
	// clockTimeout is how long the guest may take to answer.
	clockTimeout = 5 * time.Second
)

// keepTime keeps the guest's clock with the host's until the run ends: after the
// host has slept, or its clock was set, at once; and now and then, as no two clocks
// run the same.
func (p *process) keepTime(ctx context.Context) {
	tick := time.NewTicker(clockInterval)
	defer tick.Stop()
	last, looks := time.Now(), 0
	for {
		select {
		case <-tick.C:
		case <-p.end:
			return
		}
		now := time.Now()
		looks++
		// Round strips the reading of the clock that stands still while the host
		// sleeps, and that Sub prefers.
		if jumped(now.Round(0).Sub(last.Round(0)), now.Sub(last)) || looks >= clockDrift {
			looks = 0
			p.keepTimeOnce(ctx)
		}
		last = now
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
	return protocol.FromStatus(err)
}
