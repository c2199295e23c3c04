package boxlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/boxlite-go/boxlite/internal/box"
	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/shim"
	"github.com/boxlite-go/boxlite/internal/stage"
)

// Of a box's folder.
const (
	fileDisk    = "disk.img"
	fileConsole = "logs/console.log"
)

// abortTimeout bounds the end of a box that failed to start.
const abortTimeout = 10 * time.Second

// defaultStartTimeout is long enough for an emulated guest on a busy host.
const defaultStartTimeout = 2 * time.Minute

var errStartTimeout = errors.New("the box took too long to start")

// launch says how a box is to be started.
type launch struct {
	// lazy starts happen because something needs the box to run. They don't
	// repeat a job.
	lazy bool
	// mustRun has a box that does not run stay so.
	mustRun bool
	// size is the main process's terminal.
	size *boxlitev1.TerminalSize
	// restart is set if the box's restart policy starts it.
	restart *restart
	// begin starts the main process once all is ready for it. If it is nil, or
	// the box has no main process, the shim does all.
	begin func(context.Context, *run) error
}

// start brings a box to run, unless it does already, and returns its run. A run
// that is about to end is waited for.
func (rt *Runtime) start(ctx context.Context, id string, o launch) (*run, error) {
	for {
		r, ending, err := rt.startOnce(ctx, id, o)
		if err != nil || !ending {
			return r, err
		}
		if r == nil {
			continue // it has ended
		}
		if err := r.awaitEnd(ctx); err != nil {
			return nil, err
		}
	}
}

// startOnce is start that does not wait: it reports whether the run is ending.
func (rt *Runtime) startOnce(ctx context.Context, id string, o launch) (r *run, ending bool, err error) {
	if err := rt.check(); err != nil {
		return nil, false, err
	}
	l, err := rt.boxes.Lock(ctx, id)
	if err != nil {
		return nil, false, err
	}
	defer l.Unlock()
	if l.Err != nil {
		return nil, false, l.Err
	}
	if o.restart != nil && !o.restart.wanted(l.Record) {
		return nil, false, errStaysDown
	}
	status := l.State.Status
	if status != box.Running && status != box.Stopping {
		r, err = rt.startIdle(ctx, l, o)
		return r, false, err
	}
	r, err = rt.connect(ctx, id)
	if errors.Is(err, ErrStopped) && rt.check() == nil {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	// Stopping: whoever asked for it was killed, or else would hold the lock.
	ending = status == box.Stopping || (!o.lazy || r.ended == nil) && r.isEnding(ctx)
	return r, ending, nil
}

// startIdle starts a box that does not run.
func (rt *Runtime) startIdle(ctx context.Context, l *box.Locked, o launch) (*run, error) {
	switch status := l.State.Status; {
	case status == box.Starting:
		return rt.adopt(ctx, l)
	case status == box.Paused:
		return nil, cannot("use", l.Record, hintPaused(l.Record))
	case !status.Startable():
		return nil, cannot("start", l.Record, "wait until it has stopped")
	case o.mustRun:
		return nil, cannot("attach to", l.Record, "start it and stay with it with: boxlite start -a "+l.Config.Label())
	case o.lazy && l.Config.NoAutoResume && status != box.Configured:
		return nil, cannot("use", l.Record, "start it first: it was made with NoAutoResume, or --no-auto-resume")
	case o.lazy && l.Config.Job() && status != box.Configured:
		return nil, cannot("use", l.Record,
			"starting it would run its own command again: if that is wanted, use: boxlite start "+l.Config.Label())
	}
	r, err := rt.boot(ctx, l, o)
	if err != nil {
		return nil, rt.failed(l, err)
	}
	return r, nil
}

func cannot(verb string, r box.Record, hint string) error {
	return &Error{
		Kind: ErrInvalidState, Op: verb + " the box", Box: r.Config.Label(),
		Err: fmt.Errorf("it is %s", r.State.Status), Hint: hint,
	}
}

// failed records why a start failed and returns the error for the caller.
func (rt *Runtime) failed(l *box.Locked, err error) error {
	if _, ok := errors.AsType[*Error](err); !ok {
		err = startError(l, err)
	}
	state := l.State
	if !state.Status.Can(box.Failed) {
		return err // it has not even begun
	}
	state.Status = box.Failed
	state.FinishedAt = time.Now().UTC()
	state.Exit = &box.Exit{Reason: shim.ReasonFailed}
	state.Error = box.FailureOf(err)
	if e := l.Set(state); e != nil {
		return errors.Join(err, e)
	}
	return err
}

func startError(l *box.Locked, err error) error {
	return &Error{Kind: kindOfCause(err), Op: "start the box", Box: l.Config.Label(), Err: err}
}

func kindOfCause(err error) Kind {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return ErrTimeout
	}
	return protocol.KindOf(err)
}

// adopt takes over a start whose starter was killed.
func (rt *Runtime) adopt(ctx context.Context, l *box.Locked) (*run, error) {
	r, err := rt.connect(ctx, l.ID)
	if err != nil {
		return nil, err
	}
	ready, err := r.client.Ready(ctx)
	if err != nil {
		return nil, err
	}
	state := l.State
	state.Status = box.Running
	state.Kernel = ready.GetKernelRelease()
	return r, l.Set(state)
}

// boot starts the machine of a locked box.
func (rt *Runtime) boot(ctx context.Context, l *box.Locked, o launch) (_ *run, err error) {
	var p parts
	ctx, traced := rt.traceStart(ctx, &l.Config)
	defer func() { traced(p.stages, p.described(l.State), err) }()
	state := box.State{
		Status: box.Starting, Runs: l.State.Runs + 1, StartedAt: time.Now().UTC(), ImageDigest: imageDigest(l.Record),
		Args: l.State.Args, // as long as the image is the same
	}
	if o.restart != nil {
		state.Restarts = l.State.Restarts + 1
	}
	p, err = rt.prepare(ctx, l, state)
	if err != nil {
		return nil, startError(l, err)
	}
	rt.debugStages("prepared the start of the box", &l.Config, p.stages)
	container, err := containerFor(&l.Config, &p.image.Config)
	if err != nil {
		return nil, err
	}
	if container.Main != nil {
		container.Main.Size = o.size
	} else {
		o.begin = nil
	}
	if state.ImageDigest != p.image.Digest {
		// The disk belongs to this image from now on, whoever ends this start.
		state.ImageDigest, state.Args = p.image.Digest, protocol.Strings(container.GetMain().GetArgs())
		if err := l.Set(state); err != nil {
			return nil, err
		}
	}
	spec := rt.shimSpec(l, p, state)
	spec.Container = container
	spec.WaitForAttach = o.begin != nil

	began := time.Now()
	limit := cmp.Or(rt.options.StartTimeout, defaultStartTimeout)
	startCtx, cancel := context.WithTimeoutCause(ctx, limit, errStartTimeout)
	defer cancel()
	rt.debug("starting the shim", l.Config.Label(), "engine", p.machine.Engine, "accelerator", p.machine.Accelerator,
		"layers", p.jail.Layers, "image", p.image.Digest)
	client, err := shim.Start(startCtx, rt.options.ShimPath, spec)
	if errors.Is(err, errStartTimeout) {
		return nil, tooSlow(l, "shim", limit)
	}
	if err != nil {
		return nil, err
	}
	p.stages = append(p.stages, box.Stage{Name: "shim", Began: began.UTC(), Nanos: time.Since(began)})
	stage.Reached("start/shim-answers", l.Config.Label())
	r := &run{
		client: client, ended: make(chan struct{}),
		number: state.Runs, policy: l.Config.Restart,
	}
	r.attached.Store(!spec.Detached)
	if o.restart != nil {
		r.delay = o.restart.delay
	}
	ready, err := client.Ready(startCtx)
	stage.Reached("start/box-ready", l.Config.Label())
	if err == nil && o.begin != nil {
		err = o.begin(startCtx, r)
	}
	if err != nil && errors.Is(context.Cause(startCtx), errStartTimeout) {
		err = tooSlow(l, stageOf(client), limit)
	}
	if err == nil {
		// First, so that whoever sees it run finds this connection, and makes no other.
		err = rt.track(l.ID, r)
	}
	if err == nil {
		state := l.State
		state.Status = box.Running
		state.ImageDigest = p.image.Digest
		state.Args = protocol.Strings(container.GetMain().GetArgs())
		state.Engine, state.Accelerator, state.Isolation = p.machine.Engine, p.machine.Accelerator, p.machine.Isolation
		state.Jail = p.jail
		state.Kernel = ready.GetKernelRelease()
		for _, s := range ready.GetStages() {
			p.stages = append(p.stages, box.Stage{
				Name: s.GetName(), Began: time.Unix(0, s.GetStartUnixNanos()).UTC(), Nanos: time.Duration(s.GetNanos()),
			})
		}
		state.Stages = p.stages
		rt.debugStages("the box is ready", &l.Config, state.Stages)
		err = l.Set(state)
		stage.Reached("start/running", l.Config.Label())
	}
	if err != nil {
		rt.debug("aborting the start", l.Config.Label(), "error", err)
		if e := abort(l, client); e != nil {
			err = errors.Join(err, e)
		}
		return nil, err
	}
	if rt.options.OnStart != nil {
		rt.options.OnStart(rt.info(l.Record))
	}
	return r, nil
}

// stageOf asks a shim how far it has come.
func stageOf(client *shim.Client) string {
	ctx, cancel := context.WithTimeout(context.Background(), abortTimeout)
	defer cancel()
	status, err := client.Status(ctx)
	if err != nil {
		return "shim"
	}
	return status.GetStage()
}

// tooSlow says at which stage a start has spent all its time.
func tooSlow(l *box.Locked, at string, limit time.Duration) error {
	return &Error{
		Kind: ErrTimeout, Op: "start the box, stage " + at, Box: l.Config.Label(),
		Err: fmt.Errorf("it has not come up within %v", limit),
		Hint: "the guest's console may tell why: boxlite logs --console " + l.Config.Label() +
			"; on a busy host, raise Options.StartTimeout",
	}
}

// abort ends a box that failed to start, so that nothing of it runs on, or is left.
func abort(l *box.Locked, client *shim.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), abortTimeout)
	defer cancel()
	_, _ = client.Stop(ctx, 0, true) // it may have ended by itself
	_ = client.Close()
	select {
	case <-client.Ended():
		return shim.Sweep(l.Dir())
	case <-ctx.Done():
		return nil // the next start sweeps
	}
}
