package shim

import (
	"context"
	"errors"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// pause stops the machine's CPUs. While the box starts or ends, they are needed.
func (p *process) pause(ctx context.Context) error {
	p.pausing.Lock()
	defer p.pausing.Unlock()
	if err := p.running("pause the box"); err != nil {
		return err
	}
	p.health.hold()
	if err := p.machine.Pause(ctx); err != nil {
		p.health.release()
		return err
	}
	p.paused.Store(true)
	return nil
}

// resume lets the machine go on. Its clock has stood still, so it is set first
// of all.
func (p *process) resume(ctx context.Context) error {
	p.pausing.Lock()
	defer p.pausing.Unlock()
	if err := p.running("resume the box"); err != nil {
		return err
	}
	if err := p.machine.Resume(ctx); err != nil {
		return err
	}
	p.paused.Store(false)
	p.health.release()
	return p.setTime(ctx)
}

// running returns an error unless the box has started and is not to end.
func (p *process) running(op string) error {
	select {
	case <-p.ready: // which is closed after end, if the start failed
		if !p.isEnding() {
			return nil
		}
	default:
	}
	return &protocol.Error{
		Kind: protocol.KindInvalidState, Op: op, Box: p.spec.BoxID, Err: errors.New("it is starting or ending"),
	}
}

// isEnding reports whether the run is to end, or has ended.
func (p *process) isEnding() bool {
	select {
	case <-p.end:
		return true
	default:
		return false
	}
}
