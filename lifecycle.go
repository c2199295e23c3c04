package boxlite

import (
	"context"
	"errors"
	"time"

	"github.com/boxlite-go/boxlite/internal/box"
	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// Rename gives the box another name, whether it runs or not. A name that another
// box has gives an error of kind [ErrAlreadyExists].
func (b *Box) Rename(ctx context.Context, name string) error {
	if err := b.rt.check(); err != nil {
		return err
	}
	l, err := b.rt.boxes.Lock(ctx, b.config.ID)
	if err != nil {
		return err
	}
	defer l.Unlock()
	return l.Rename(ctx, name)
}

// Restart stops the box as [Box.StopWithin] does, if it runs, and starts it.
func (b *Box) Restart(ctx context.Context, grace time.Duration) error {
	if err := b.StopWithin(ctx, grace); err != nil {
		return err
	}
	return b.Start(ctx)
}

// Kill ends all processes of the box at once, and then the box. What they have
// written is on its disk when Kill returns.
func (b *Box) Kill(ctx context.Context) error { return b.StopWithin(ctx, 0) }

// Signal sends the box's main process a signal of the guest, given by its name or
// number: "SIGUSR1", "usr1", "10" or "RTMIN+1".
func (b *Box) Signal(ctx context.Context, signal string) error {
	const op = "signal the box"
	number, err := parseSignal(signal)
	if err == nil && number == 0 {
		err = errors.New("no signal is given")
	}
	if err != nil {
		return invalid(op, "", err)
	}
	if err := b.rt.check(); err != nil {
		return err
	}
	record, err := b.rt.load(ctx, b.config.ID)
	if err != nil {
		return err
	}
	if len(record.State.Args) == 0 {
		return &Error{
			Kind: ErrInvalidState, Op: op, Box: b.config.Label(), Err: errors.New("it has no main process"),
			Hint: "signal the commands that run in it, or end it with Box.Kill, or boxlite kill",
		}
	}
	if err := mustRun(record, "signal"); err != nil {
		return err
	}
	r, err := b.rt.connect(ctx, b.config.ID)
	if err != nil {
		return err
	}
	_, err = boxlitev1.NewExecutionClient(r.client.Guest()).Signal(ctx, &boxlitev1.SignalRequest{
		Id: protocol.MainExecution, Signal: number,
	})
	if err != nil {
		err = rpc.FromStatus(err)
		return &Error{Kind: kindOfCause(err), Op: op, Box: b.config.Label(), Err: err}
	}
	return nil
}

// mustRun returns an error of kind InvalidState unless the box runs.
func mustRun(record box.Record, verb string) error {
	switch record.State.Status {
	case box.Running:
		return nil
	case box.Paused:
		return cannot(verb, record, hintPaused(record))
	}
	return cannot(verb, record, "start it first, with Box.Start, or boxlite start "+record.Config.Label())
}

// hintPaused tells what lets a paused box go on.
func hintPaused(r box.Record) string {
	return "let it go on first, with Box.Resume, or boxlite resume " + r.Config.Label()
}

// Pause stops the box's virtual CPUs: all that runs in it stands still, and keeps
// its memory, until [Box.Resume]. A box that is paused stays so.
func (b *Box) Pause(ctx context.Context) error {
	return b.change(ctx, "pause", box.Running, box.Paused, func(r *run) error { return r.client.Pause(ctx) })
}

// Resume lets a paused box go on, with its clock set to the host's. A box that
// runs stays so.
func (b *Box) Resume(ctx context.Context) error {
	return b.change(ctx, "resume", box.Paused, box.Running, func(r *run) error { return r.client.Resume(ctx) })
}

// Detach lets this run of the box outlive this program and the Runtime, as with
// [BoxSpec.Detach].
func (b *Box) Detach(ctx context.Context) error {
	r, err := b.rt.connect(ctx, b.config.ID)
	if err == nil {
		err = r.client.Detach(ctx)
	}
	if err != nil {
		return &Error{Kind: kindOfCause(err), Op: "detach from the box", Box: b.config.Label(), Err: err}
	}
	r.attached.Store(false)
	return nil
}

// change brings a box from one of its running states to the other.
func (b *Box) change(ctx context.Context, verb string, from, to box.Status, do func(*run) error) error {
	if err := b.rt.check(); err != nil {
		return err
	}
	l, err := b.rt.boxes.Lock(ctx, b.config.ID)
	if err != nil {
		return err
	}
	defer l.Unlock()
	switch {
	case l.Err != nil:
		return l.Err
	case l.State.Status == to:
		return nil
	case l.State.Status != from:
		return cannot(verb, l.Record, "it must be "+string(from))
	}
	r, err := b.rt.connect(ctx, b.config.ID)
	if err != nil {
		return err
	}
	// The record says "paused" before the machine is, and after: whoever finds a
	// paused box that is not may resume it, but would wait for one that is not
	// said to be.
	set := func(status box.Status) error {
		state := l.State
		state.Status = status
		return l.Set(state)
	}
	if to == box.Paused {
		if err := set(to); err != nil {
			return err
		}
		if err := do(r); err != nil {
			return errors.Join(err, set(from))
		}
		return nil
	}
	if err := do(r); err != nil {
		return err
	}
	return set(to)
}
