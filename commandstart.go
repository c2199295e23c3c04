package boxlite

import (
	"context"
	"errors"
	"math"

	"github.com/boxlite-go/boxlite/internal/audit"
	"github.com/boxlite-go/boxlite/internal/box"
	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// startExec starts a command beside the main process.
func (c *Command) startExec(ctx context.Context) (*attachment, error) {
	r, err := c.box.running(ctx)
	if err != nil {
		return nil, err
	}
	config := &c.box.config
	event := audit.Event{Type: audit.Exec, Box: config.ID, Name: config.Name, Command: c.Args[0]}
	if err := c.box.rt.log.Append(event); err != nil {
		return nil, err
	}
	a, err := c.attach(ctx, r, &boxlitev1.AttachOpen{Target: &boxlitev1.AttachOpen_Start{Start: &boxlitev1.StartRequest{
		Process: &boxlitev1.Process{
			Args: protocol.Bytes(c.Args), Env: protocol.Bytes(c.Env), Dir: []byte(c.Dir), User: c.User, Tty: c.TTY, Size: c.size(),
			TimeoutMillis: uint64(c.Timeout.Milliseconds()), Limits: c.Limits.wire(),
		},
		// On a terminal, whoever attaches later can type.
		Stdin: c.Stdin != nil || c.Detached && c.TTY,
	}}})
	if err != nil {
		return nil, err
	}
	if err := a.awaitStart(ctx, true); err != nil {
		c.box.rt.execErrors.Add(1)
		return nil, err
	}
	if c.Detached {
		a.leaveWhenDone(ctx)
	} else {
		a.killWhenDone(ctx)
	}
	return a, nil
}

// wire returns the limits for the agent.
func (l Limits) wire() *boxlitev1.Limits {
	if l == (Limits{}) {
		return nil
	}
	return &boxlitev1.Limits{
		MemoryBytes: uint64(l.MemoryMiB) << 20, CpuMillis: uint32(math.Round(l.CPUs * 1000)), Pids: uint32(l.Processes),
	}
}

// join attaches to a command that was started before.
func (c *Command) join(ctx context.Context) (*attachment, error) {
	r, err := c.box.rt.connect(ctx, c.box.config.ID)
	if err == nil {
		r, err = c.box.usable(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	a, err := c.attach(ctx, r, c.openTarget())
	if err != nil {
		return nil, err
	}
	if err := a.awaitStart(ctx, false); err != nil {
		if errors.Is(err, ErrNotFound) {
			err = &Error{Kind: ErrNotFound, Err: err, Hint: "see which there are with: boxlite executions " + c.box.config.Label()}
		}
		return nil, err
	}
	a.leaveWhenDone(ctx)
	return a, nil
}

func (c *Command) openTarget() *boxlitev1.AttachOpen {
	return &boxlitev1.AttachOpen{
		Target:       &boxlitev1.AttachOpen_Id{Id: c.target},
		StdoutOffset: offset(c.StdoutOffset), StderrOffset: offset(c.StderrOffset),
	}
}

// offset returns where a stream begins for the agent: less than 0 is its end.
func offset(n int64) uint64 {
	if n < 0 {
		return math.MaxUint64
	}
	return uint64(n)
}

// startMain joins the main process, before it starts if possible.
func (c *Command) startMain(ctx context.Context) (*attachment, error) {
	if config := &c.box.config; !config.Job() && !config.ImageCommand {
		return nil, &Error{
			Kind: ErrInvalidState, Err: errors.New("the box has no main process"),
			Hint: "run commands in it with Box.Command, or boxlite exec",
		}
	}
	open := c.openTarget()
	var a *attachment
	begin := func(ctx context.Context, r *run) (err error) {
		if a, err = c.attach(ctx, r, open); err != nil {
			return err
		}
		_, err = boxlitev1.NewContainerClient(r.client.Guest()).Start(ctx, &boxlitev1.ContainerStartRequest{})
		if err == nil {
			err = a.awaitStart(ctx, false)
		}
		if err != nil {
			a.leave()
		}
		return rpc.FromStatus(err)
	}
	how := launch{size: c.size(), begin: begin, mustRun: c.MustRun}
	var r *run
	var err error
	if c.last != nil {
		r, err = c.box.rt.following(ctx, c.box.config.ID, c.last, how)
	} else {
		r, err = c.box.rt.start(ctx, c.box.config.ID, how)
	}
	if err != nil {
		return nil, err
	}
	if a == nil { // it ran already
		if err := r.awaitReady(ctx); err != nil {
			return nil, err
		}
		if a, err = c.attach(ctx, r, open); err != nil {
			return nil, err
		}
		if err := a.awaitStart(ctx, false); err != nil {
			return nil, err
		}
	}
	a.leaveWhenDone(ctx)
	return a, nil
}

func (c *Command) size() *boxlitev1.TerminalSize {
	return &boxlitev1.TerminalSize{Rows: uint32(max(0, c.Rows)), Cols: uint32(max(0, c.Cols))}
}

// running returns the run of the box, after starting it if need be.
func (b *Box) running(ctx context.Context) (*run, error) {
	r, err := b.rt.connect(ctx, b.config.ID)
	if errors.Is(err, ErrStopped) && b.rt.check() == nil {
		r, err = b.rt.start(ctx, b.config.ID, launch{lazy: true})
	}
	if err != nil {
		return nil, err
	}
	return b.usable(ctx, r)
}

// present returns the run of the box, or nil if it does not run.
func (b *Box) present(ctx context.Context) (*run, error) {
	r, err := b.rt.connect(ctx, b.config.ID)
	if errors.Is(err, ErrStopped) && b.rt.check() == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return b.usable(ctx, r)
}

// usable waits until a run serves. A box that stands still would let everything
// wait for ever.
func (b *Box) usable(ctx context.Context, r *run) (*run, error) {
	if b.rt.boxes.Status(b.config.ID) == box.Paused {
		record := box.Record{ID: b.config.ID, Config: b.config, State: box.State{Status: box.Paused}}
		return nil, cannot("use", record, hintPaused(record))
	}
	return r, r.awaitReady(ctx)
}
