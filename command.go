package boxlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
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

	// Timeout is how long the command may run; 0 means for ever. After it, the
	// command and all of its process group get SIGTERM, and two seconds later
	// SIGKILL; Wait then returns an [*ExitError] that says so. The box keeps the
	// time, in milliseconds, even if this program has ended.
	Timeout time.Duration
	// Limits bound what the command may use, with all that it starts.
	Limits Limits
	// Detached leaves the command running, rather than killing it, when the
	// context of Start ends.
	Detached bool

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

	// StdoutOffset and StderrOffset are where in each stream to begin, in bytes, if
	// the command is one to join ([Box.Attach], [Box.AttachExecution]). Less than 0
	// means with what is written from now on.
	StdoutOffset, StderrOffset int64
	// MustRun keeps a command made by [Box.Attach] from starting the box, which would run
	// its main process again: if it does not run, the error is of kind [ErrInvalidState].
	MustRun bool

	box    *Box
	target string // the execution to join; empty starts a new one
	last   *run   // that has to have ended first; nil without
	pipes  pipes

	begun      atomic.Bool
	mu         sync.Mutex
	attachment *attachment // nil until Start has started it
}

// Limits bound what a command may use, with all processes that it starts. What is 0
// is bounded by the box alone.
type Limits struct {
	// MemoryMiB is how much memory they may have together. When it is used up, the
	// guest's kernel kills one of them.
	MemoryMiB int `json:"memoryMiB"`
	// CPUs is how much CPU time they get for each second, as 0.5; not less than
	// 0.01.
	CPUs float64 `json:"cpus"`
	// Processes is how many processes and threads they may be.
	Processes int `json:"processes"`
}

// Command returns a command to run in the box. Running it starts the box if need
// be. A box that has been made to run one command and has stopped is not started:
// that would run its command again.
func (b *Box) Command(name string, args ...string) *Command {
	return &Command{Args: append([]string{name}, args...), box: b}
}

// Attach returns a Command that is the box's main process. Its Start starts the
// box if it does not run, unless MustRun is set, and then misses nothing of what the main process
// writes; or joins the main process that runs, with up to 1 MiB of each stream
// that it wrote before. Args, Env, Dir, User and TTY are the box's; Stdin is
// written only if [BoxSpec.Stdin] is set.
//
// When the context of Start ends, the main process is left, not killed.
func (b *Box) Attach() *Command { return b.AttachExecution(protocol.MainExecution) }

// AttachExecution returns a Command that is a command which was started before, by
// this program or another: see [Box.Executions]. Its Start joins it, at
// StdoutOffset and StderrOffset. The last 1 MiB of each stream can be had again, and
// of what was written while nobody was attached, the last 16 MiB more. Args, Env,
// Dir, User and TTY are the command's.
//
// When the context of Start ends, the command is left, not killed.
func (b *Box) AttachExecution(id string) *Command { return &Command{box: b, target: id} }

// Next returns a Command, with the same streams and terminal, that is the main
// process of the run which follows the one that c, made by [Box.Attach], has joined.
// Its Start waits until this Runtime has started the box again by its restart
// policy, and misses nothing. The error is of kind [ErrStopped] if it does not.
func (c *Command) Next() *Command {
	next := &Command{
		Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr, TTY: c.TTY, Rows: c.Rows, Cols: c.Cols,
		box: c.box, target: c.target,
	}
	if a := c.started(); a != nil {
		next.last = a.run
	}
	return next
}

// attached returns the attachment of a command that has been started.
func (c *Command) attached(op string) (*attachment, error) {
	a := c.started()
	if a == nil {
		return nil, &Error{Kind: ErrInvalidState, Op: op, Err: errors.New("it has not been started")}
	}
	return a, nil
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
// When ctx ends before the command does, the command is killed, with all of its
// process group, and Wait returns the context's error.
func (c *Command) Start(ctx context.Context) error {
	if !c.begun.CompareAndSwap(false, true) {
		return &Error{Kind: ErrInvalidState, Op: c.op(), Err: errors.New("it was started before"), Hint: "make another Command"}
	}
	a, err := c.start(ctx)
	if err != nil {
		c.pipes.close()
		return err
	}
	c.mu.Lock()
	c.attachment = a
	c.mu.Unlock()
	return nil
}

func (c *Command) start(ctx context.Context) (a *attachment, err error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	switch c.target {
	case "":
		a, err = c.startExec(ctx)
	case protocol.MainExecution:
		a, err = c.startMain(ctx)
	default:
		a, err = c.join(ctx)
	}
	if err != nil {
		return nil, c.failed(err)
	}
	return a, nil
}

func (c *Command) op() string {
	switch c.target {
	case "":
		if len(c.Args) == 0 {
			return "run a command"
		}
		return fmt.Sprintf("run %.100q", c.Args[0])
	case protocol.MainExecution:
		return "attach to the box"
	}
	return fmt.Sprintf("attach to execution %.100q", c.target)
}

func (c *Command) check() error {
	if c.target != "" {
		return nil
	}
	if len(c.Args) == 0 || c.Args[0] == "" {
		return invalid("run a command", "set Command.Args", errors.New("it has no name"))
	}
	op := c.op()
	return firstOf(errors.Join(
		checkArgs(op, c.Args), checkEnv(op, c.Env), checkDir(op, c.Dir), checkUser(op, c.User), checkText(op, []string{c.User}), c.checkBounds(op)))
}

// leastCPUs is the smallest share of a CPU that the kernel can give.
const leastCPUs = 0.01

func (c *Command) checkBounds(op string) error {
	l := c.Limits
	switch {
	case c.Timeout < 0 || c.Timeout > 0 && c.Timeout < time.Millisecond:
		return invalid(op, "set Command.Timeout to a millisecond or more, or to 0", fmt.Errorf("its time is limited to %v", c.Timeout))
	case l.MemoryMiB < 0 || l.Processes < 0 || l.MemoryMiB > 1<<30 || l.Processes > 1<<22:
		return invalid(op, "set the fields of Command.Limits to 0 or more", fmt.Errorf("it has impossible limits: %+v", l))
	case l.CPUs != 0 && (!(l.CPUs >= leastCPUs) || l.CPUs > 1<<10):
		return invalid(op, "set Limits.CPUs to 0.01 or more, or to 0", fmt.Errorf("its CPU time is limited to %v", l.CPUs))
	}
	return nil
}

func (c *Command) failed(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Op != "" {
		return err
	}
	return &Error{Kind: kindOfCause(err), Op: c.op(), Box: c.box.config.Label(), Hint: HintOf(err), Err: err}
}

// Wait waits for the command to end and for all its output to be written. It
// returns an [*ExitError] if the command ended with another code than 0, or because
// it ran for too long, and [ErrDetached] after [Command.Detach].
func (c *Command) Wait() error {
	a, err := c.attached("wait for a command")
	if err != nil {
		return err
	}
	a.awaitDone()
	c.pipes.closeOurs()
	if err := a.wait(); err != nil {
		if exit, ok := errors.AsType[*ExitError](err); ok {
			return exit
		}
		if errors.Is(err, ErrDetached) {
			return err
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
	a, err := c.attached("signal a command")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	return a.signal(ctx, number, false)
}

// Resize changes the size of the command's terminal.
func (c *Command) Resize(rows, cols int) error {
	a, err := c.attached("resize a terminal")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	return a.resize(ctx, rows, cols)
}
