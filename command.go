package boxlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/boxlite-go/boxlite/internal/audit"
	"github.com/boxlite-go/boxlite/internal/box"
	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// Command is a command to run in a box, or one that runs. It is to a box what
// [os/exec.Cmd] is to the host. Make one with [Box.Command]; it can be used once.
//
// The fields are read by Start and must not be changed after it.
type Command struct {
	// Args is the command and its arguments. Args[0] is looked up in the PATH of
	// the box.
	Args []string
	// Env holds KEY=VALUE pairs that are added to the box's.
	Env []string
	// Dir is the working directory, an absolute path. Empty means the box's.
	Dir string
	// User is who runs the command: name or number, and perhaps a group, as in
	// "app:staff". Empty means the box's.
	User string

	// Stdin is read until its end and written to the command. If it is nil, the
	// command reads from /dev/null. Wait does not wait for a Read that blocks
	// after the command has ended.
	Stdin io.Reader
	// Stdout and Stderr get what the command writes. If one is nil, that is
	// dropped. If a Write fails, what follows is dropped, the command gets
	// SIGPIPE, and Wait returns the error. They are never written to at the same
	// time, so they may be the same.
	Stdout, Stderr io.Writer

	// TTY runs the command on a terminal: Stdin is what is typed, and all output
	// comes as Stdout. Rows and Cols are its size, by default 24 and 80.
	TTY        bool
	Rows, Cols int

	box  *Box
	main bool // bound to the main process
	last *run // that has to have ended first; nil without

	mu         sync.Mutex
	attachment *attachment // nil before Start
}

// Command returns a command to run in the box. Running it starts the box if need
// be. A box that has been made to run one command and has stopped is not started:
// that would run its command again.
func (b *Box) Command(name string, args ...string) *Command {
	return &Command{Args: append([]string{name}, args...), box: b}
}

// Attach returns a Command that is the box's main process. Its Start starts the
// box if it does not run, and then misses nothing of what the main process
// writes; or joins the main process that runs, with up to 1 MiB of each stream
// that it wrote before. Args, Env, Dir, User and TTY are the box's; Stdin is
// written only if [BoxSpec.Stdin] is set.
//
// When the context of Start ends, the main process is left, not killed.
func (b *Box) Attach() *Command { return &Command{box: b, main: true} }

// Next returns a Command, with the same streams and terminal, that is the main
// process of the run which follows the one that c, made by [Box.Attach], has joined.
// Its Start waits until this Runtime has started the box again by its restart
// policy, and misses nothing. The error is of kind [ErrStopped] if it does not.
func (c *Command) Next() *Command {
	next := &Command{
		Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr, TTY: c.TTY, Rows: c.Rows, Cols: c.Cols,
		box: c.box, main: c.main,
	}
	if a := c.started(); a != nil {
		next.last = a.run
	}
	return next
}

// ID identifies the command among those of its box. It is empty before Start.
func (c *Command) ID() string {
	if a := c.started(); a != nil {
		return a.id
	}
	return ""
}

func (c *Command) started() *attachment {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.attachment
}

// Start starts the command and returns when it runs. An error of kind
// [ErrExecution] means that the box has no such command, or can't execute it.
// After a successful Start the caller calls Wait.
//
// When ctx ends before the command does, the command is killed, and Wait returns
// the context's error.
func (c *Command) Start(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attachment != nil {
		return &Error{Kind: ErrInvalidState, Op: c.op(), Err: errors.New("it was started before"), Hint: "make another Command"}
	}
	var err error
	if c.main {
		c.attachment, err = c.startMain(ctx)
	} else {
		c.attachment, err = c.startExec(ctx)
	}
	if err != nil {
		return c.failed(err)
	}
	return nil
}

func (c *Command) op() string {
	if c.main {
		return "attach to the box"
	}
	return fmt.Sprintf("run %.100q", c.Args[0])
}

func (c *Command) check() error {
	if c.main {
		return nil
	}
	if len(c.Args) == 0 || c.Args[0] == "" {
		return invalid("run a command", "set Command.Args", errors.New("it has no name"))
	}
	op := c.op()
	return firstOf(errors.Join(checkArgs(op, c.Args), checkEnv(op, c.Env), checkDir(op, c.Dir), checkUser(op, c.User)))
}

func (c *Command) failed(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Op != "" {
		return err
	}
	return &Error{Kind: kindOfCause(err), Op: c.op(), Box: c.box.config.Label(), Hint: HintOf(err), Err: err}
}

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
			Args: c.Args, Env: c.Env, Dir: c.Dir, User: c.User, Tty: c.TTY, Size: c.size(),
		},
		Stdin: c.Stdin != nil,
	}}})
	if err != nil {
		return nil, err
	}
	if err := a.awaitStart(ctx, true); err != nil {
		c.box.rt.execErrors.Add(1)
		return nil, err
	}
	a.killWhenDone(ctx)
	return a, nil
}

// startMain joins the main process, before it starts if possible.
func (c *Command) startMain(ctx context.Context) (*attachment, error) {
	if config := &c.box.config; !config.Job() && !config.ImageCommand {
		return nil, &Error{
			Kind: ErrInvalidState, Err: errors.New("the box has no main process"),
			Hint: "run commands in it with Box.Command, or boxlite exec",
		}
	}
	open := &boxlitev1.AttachOpen{Target: &boxlitev1.AttachOpen_Id{Id: protocol.MainExecution}}
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
		return protocol.FromStatus(err)
	}
	how := launch{size: c.size(), begin: begin}
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
	// A box that stands still would let the command wait for ever.
	if b.rt.boxes.Status(b.config.ID) == box.Paused {
		record := box.Record{ID: b.config.ID, Config: b.config, State: box.State{Status: box.Paused}}
		return nil, cannot("use", record, hintPaused(record))
	}
	return r, r.awaitReady(ctx)
}

// Wait waits for the command to end and for all its output to be written. It
// returns an [*ExitError] if the command ended with another code than 0.
func (c *Command) Wait() error {
	a := c.started()
	if a == nil {
		return &Error{Kind: ErrInvalidState, Op: "wait for a command", Err: errors.New("it has not been started")}
	}
	if err := a.wait(); err != nil {
		if exit, ok := errors.AsType[*ExitError](err); ok {
			return exit
		}
		return c.failed(err)
	}
	return nil
}

// Run starts the command and waits for it to end.
func (c *Command) Run(ctx context.Context) error {
	if err := c.Start(ctx); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the command and returns what it writes to its standard output. If
// Stderr is nil, the end of what it writes there is in [ExitError.Stderr].
func (c *Command) Output(ctx context.Context) ([]byte, error) {
	if c.Stdout != nil {
		return nil, invalid("run a command", "use Run", errors.New("field Stdout is set already"))
	}
	var out bytes.Buffer
	c.Stdout = &out
	var tail *tailBuffer
	if c.Stderr == nil {
		tail = &tailBuffer{}
		c.Stderr = tail
	}
	err := c.Run(ctx)
	if exit, ok := errors.AsType[*ExitError](err); ok && tail != nil {
		exit.Stderr = tail.Bytes()
	}
	return out.Bytes(), err
}

// CombinedOutput runs the command and returns what it writes to its standard
// output and its standard error.
func (c *Command) CombinedOutput(ctx context.Context) ([]byte, error) {
	if c.Stdout != nil || c.Stderr != nil {
		return nil, invalid("run a command", "use Run", errors.New("field Stdout or Stderr is set already"))
	}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run(ctx)
	return out.Bytes(), err
}

// Signal sends a signal to the command. It returns [os.ErrProcessDone] if the
// command has ended.
func (c *Command) Signal(sig os.Signal) error {
	number, err := guestSignal(sig)
	if err != nil {
		return invalid("signal a command", "", err)
	}
	a := c.started()
	if a == nil {
		return &Error{Kind: ErrInvalidState, Op: "signal a command", Err: errors.New("it has not been started")}
	}
	return a.signal(context.Background(), number)
}

// Resize changes the size of the command's terminal.
func (c *Command) Resize(rows, cols int) error {
	a := c.started()
	if a == nil {
		return &Error{Kind: ErrInvalidState, Op: "resize a terminal", Err: errors.New("the command has not been started")}
	}
	return a.resize(context.Background(), rows, cols)
}
