package boxlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/boxlite-go/boxlite/internal/box"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
	"github.com/boxlite-go/boxlite/internal/shim"
	"github.com/boxlite-go/boxlite/internal/stage"
)

// Box is a virtual machine with a disk of its own. It is a handle: the box
// itself lives in the home folder, until it is removed. Its methods may be
// called concurrently.
type Box struct {
	rt     *Runtime
	config box.Config
}

// stopGrace is how long processes may take to end when a box is stopped, as with
// docker stop.
const stopGrace = 10 * time.Second

// ID returns the box's ID: 12 letters and digits.
func (b *Box) ID() string { return b.config.ID }

// Name returns the name that the box has now, or "" if it has none.
func (b *Box) Name() string {
	if name := b.rt.boxes.Name(b.config.ID); name != "" {
		return name
	}
	return b.config.Name // of a box that is gone
}

// Info describes the box as it is now.
func (b *Box) Info(ctx context.Context) (BoxInfo, error) {
	if err := b.rt.check(); err != nil {
		return BoxInfo{}, err
	}
	record, err := b.rt.load(ctx, b.config.ID)
	if err != nil {
		return BoxInfo{}, err
	}
	return b.rt.info(record), nil
}

// Start boots the box, and starts its main process if it has one. It returns when
// the box serves commands, and does nothing if it does already. Few need it:
// commands start their box themselves.
//
// A start that fails leaves the box with the status [StatusFailed] and nothing
// running. It may be tried again.
func (b *Box) Start(ctx context.Context) error {
	r, err := b.rt.start(ctx, b.config.ID, launch{})
	if err != nil {
		return err
	}
	return r.awaitReady(ctx)
}

// Stop shuts the box down, as [Box.StopWithin] does with the box's own grace:
// [BoxSpec.StopTimeout], or ten seconds.
func (b *Box) Stop(ctx context.Context) error {
	return b.StopWithin(ctx, graceOf(b.config))
}

// graceOf is how long processes of a box may take to end, if nothing else is asked.
func graceOf(c box.Config) time.Duration { return max(0, cmp.Or(c.StopTimeout, stopGrace)) }

// StopWithin shuts the box down: the main process gets the image's stop signal,
// all others SIGTERM, and what has not ended after the grace is killed. When
// StopWithin returns without an error, all that was written in the box is on its
// disk. A box that does not run stays as it is.
func (b *Box) StopWithin(ctx context.Context, grace time.Duration) error {
	if err := b.rt.check(); err != nil {
		return err
	}
	return b.rt.stop(ctx, b.config.ID, grace, false)
}

// stop ends a box's run. force ends its machine at once.
func (rt *Runtime) stop(ctx context.Context, id string, grace time.Duration, force bool) error {
	l, err := rt.boxes.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer l.Unlock()
	if l.Err == nil && !l.State.Status.Active() {
		return l.StayDown()
	}
	stage.Reached("stop/asked", l.Config.Label())
	var problem error // a full disk is no reason to run on
	if state := l.State; l.Err == nil && state.Status != box.Stopping {
		state.Status, state.StopRequested = box.Stopping, true
		problem = l.Set(state)
	}
	stage.Reached("stop/recorded", l.Config.Label())
	rt.debug("stopping the box", l.Config.Label(), "grace", grace, "force", force)
	record, err := rt.end(ctx, id, grace, force)
	rt.debug("the box has ended", l.Config.Label(), "reason", record.GetReason(), "error", err)
	if errors.Is(err, ErrStopped) {
		// It ended this instant, and is recorded when next looked up.
		return errors.Join(problem, l.StayDown())
	}
	if err != nil {
		err = &Error{Kind: kindOfCause(err), Op: "stop the box", Box: l.Config.Label(), Err: err}
		return errors.Join(err, problem)
	}
	stage.Reached("stop/ended", l.Config.Label())
	problem = errors.Join(problem, shim.Sweep(l.Dir())) // what the shim could not
	if l.Err != nil {
		return nil // there is no record to write it to
	}
	ended := l.State.Ended(record)
	ended.StopRequested = true
	problem = errors.Join(problem, l.Found(ended))
	stage.Reached("stop/stopped", l.Config.Label())
	if l.Config.AutoRemove {
		return rt.discard(l)
	}
	if detail := record.GetError(); detail != nil {
		return errors.Join(rpc.FromDetail(detail), problem)
	}
	return problem
}

// end ends the run of a box, and returns how it ended when nothing of it is left.
// A shim that can't be asked is told by a signal.
func (rt *Runtime) end(ctx context.Context, id string, grace time.Duration, force bool) (*boxlitev1.ExitRecord, error) {
	r, err := rt.connectEver(ctx, id)
	if errors.Is(err, ErrRPCTransport) {
		return shim.Terminate(ctx, rt.boxes.Dir(id), force)
	}
	if err != nil {
		return nil, err
	}
	record, err := r.client.Stop(ctx, grace, force)
	if errors.Is(err, ErrRPCTransport) {
		record, err = shim.Terminate(ctx, rt.boxes.Dir(id), force)
	}
	if err == nil {
		err = r.awaitEnd(ctx)
	}
	if err == nil {
		rt.forget(id, r)
	}
	return record, err
}

// Wait waits until the box has stopped, by itself or because it was asked to,
// and returns how its latest run ended. The error says so if that was a failure
// of the machine, or for want of memory. A box that is about to be started again
// ([BoxSpec.Restart]) has stopped, too.
func (b *Box) Wait(ctx context.Context) (Exit, error) {
	id := b.config.ID
	if err := b.rt.check(); err != nil {
		return Exit{}, err
	}
	r, err := b.rt.lastEnded(ctx, id)
	if r == nil && err == nil {
		if r, err = b.rt.connect(ctx, id); err == nil {
			err = r.awaitEnd(ctx)
		}
	}
	if err != nil && !errors.Is(err, ErrStopped) {
		return Exit{}, err
	}
	if r != nil && r.ended != nil {
		select {
		case <-r.ended: // comes with the end of the shim
			state := r.final
			if state == nil && r.exit != nil { // another has removed the box
				ended := box.State{Status: box.Running}.Ended(r.exit)
				state = &ended
			}
			if state != nil && state.Exit != nil {
				return *exitOf(*state), state.Error.Err()
			}
		case <-b.rt.closing:
		}
	}
	l, err := b.rt.boxes.Lock(ctx, id)
	if err != nil {
		return Exit{}, err
	}
	defer l.Unlock()
	exit := exitOf(l.State)
	if exit == nil {
		return Exit{}, &Error{
			Kind: ErrInvalidState, Op: "wait for the box", Box: b.config.Label(),
			Err: fmt.Errorf("it is %s", l.State.Status), Hint: "start it first",
		}
	}
	return *exit, l.State.Error.Err()
}

// Remove deletes the box and all its files. It must not be running; see
// [Runtime.Remove].
func (b *Box) Remove(ctx context.Context) error {
	if err := b.rt.check(); err != nil {
		return err
	}
	return b.rt.remove(ctx, b.config.ID, false)
}
