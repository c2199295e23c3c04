package shim

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// healthMonitor checks now and then whether a box is well. A nil monitor does
// nothing.
type healthMonitor struct {
	check *HealthCheck
	// probe runs one check until its context ends, and returns what it wrote, and
	// an error if it failed.
	probe func(context.Context) (output string, err error)
	save  func(Health)

	mu     sync.Mutex
	held   bool
	cancel context.CancelFunc // ends the check that runs; nil if none does
	idle   chan struct{}      // closed when that has ended
}

// newHealthMonitor returns nil for a box without a health check.
func (p *process) newHealthMonitor() *healthMonitor {
	if p.spec.Health == nil {
		return nil
	}
	return &healthMonitor{check: p.spec.Health, probe: p.probe, save: func(h Health) {
		if err := writeHealth(p.spec.Dir, h); err != nil {
			p.log.Error("write what a health check found", "error", err)
		}
	}}
}

// watchHealth checks the box's health until its run is to end.
func (p *process) watchHealth(ctx context.Context) {
	if p.health == nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-p.end:
			cancel()
		case <-ctx.Done():
		}
	}()
	p.health.run(ctx)
}

// run checks until ctx ends. One check begins after another has ended.
func (m *healthMonitor) run(ctx context.Context) {
	started := time.Now()
	health := Health{Status: HealthStarting}
	m.save(health)
	timer := time.NewTimer(m.check.Interval)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		began := time.Now()
		m.once(ctx, func(output string, failure error) {
			health = health.after(m.check, failure != nil, began.Sub(started))
			at := began.UTC()
			health.CheckedAt, health.Output = &at, output
			m.save(health)
		})
		timer.Reset(m.check.Interval)
	}
}

// once runs one check and calls found with what came of it, unless the box is
// paused or ends meanwhile.
func (m *healthMonitor) once(ctx context.Context, found func(output string, failure error)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.mu.Lock()
	if m.held {
		m.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	m.cancel, m.idle = cancel, idle
	m.mu.Unlock()

	limited, stop := context.WithTimeout(ctx, m.check.Timeout)
	output, failure := m.probe(limited)
	if failure != nil && limited.Err() != nil {
		output = strings.TrimPrefix(fmt.Sprintf("%s\nthe check took longer than %v", output, m.check.Timeout), "\n")
	}
	stop()
	if ctx.Err() == nil {
		found(output, failure)
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	m.cancel, m.idle = nil, nil
	close(idle)
}

// hold ends the check that runs, whose result then does not count, and lets none
// begin until release.
func (m *healthMonitor) hold() {
	if m == nil {
		return
	}
	m.mu.Lock()
	m.held = true
	cancel, idle := m.cancel, m.idle
	m.mu.Unlock()
	if cancel != nil {
		cancel()
		<-idle
	}
}

func (m *healthMonitor) release() {
	if m == nil {
		return
	}
	m.mu.Lock()
	m.held = false
	m.mu.Unlock()
}
