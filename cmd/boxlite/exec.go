package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

// execFlags are those of exec and shell.
type execFlags struct {
	processFlags
	limits     limitFlags
	timeout    time.Duration
	detachKeys string
}

func (f *execFlags) define(c *cobra.Command) {
	f.processFlags.define(c)
	f.limits.define(c)
	c.Flags().DurationVar(&f.timeout, "timeout", 0, "end the command after `DURATION`, such as 90s or 5m; boxlite then exits with 124")
	detachFlag(c, &f.detachKeys)
}

// limitFlags bound one command.
type limitFlags struct {
	memory    sizeFlag
	cpus      float64
	processes int
}

func (f *limitFlags) define(c *cobra.Command) {
	f.memory = sizeFlag{unit: 1 << 20}
	c.Flags().Var(&f.memory, "memory", "memory of the command, with all that it starts, in MiB or as 64m (default that of the box)")
	c.Flags().Float64Var(&f.cpus, "cpus", 0, "CPU time that it gets for each second, as 0.5 (default that of the box)")
	c.Flags().IntVar(&f.processes, "pids-limit", 0, "how many processes and threads it may be (default that of the box)")
}

func (f *execFlags) apply(c *cobra.Command, e *boxlite.Command) error {
	env, err := f.environment()
	if err != nil {
		return err
	}
	for flag, n := range map[string]float64{
		"memory": float64(f.limits.memory.units), "cpus": f.limits.cpus, "pids-limit": float64(f.limits.processes), "timeout": float64(f.timeout),
	} {
		if c.Flags().Changed(flag) && n <= 0 {
			return usagef("--%s must be more than 0", flag)
		}
	}
	e.Env, e.Dir, e.User, e.TTY, e.Timeout = env, f.dir, f.user, f.tty, f.timeout
	e.Limits = boxlite.Limits{MemoryMiB: f.limits.memory.units, CPUs: f.limits.cpus, Processes: f.limits.processes}
	return nil
}

func (a *app) execCommand() *cobra.Command {
	var f execFlags
	var detach bool
	c := &cobra.Command{
		Use:   "exec [flags] BOX [--] COMMAND [ARG...]",
		Short: "Run a command in a box that exists",
		Long: `Exec runs a command in a box, and starts the box if need be: it then runs on. A
box that was made to run one command, and has stopped, is not started: that
would run its command again.

With -d, the command runs in the background: its ID is printed, by which
boxlite attach joins it and shows what it has written.`,
		Example: `  boxlite exec -it web -- sh
  boxlite exec -u nobody --timeout 10s web id
  boxlite attach web "$(boxlite exec -d web -- make all)"`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) (err error) {
			ref, command := args[0], args[1:]
			if command[0] == "--" {
				command = command[1:]
			}
			if len(command) == 0 {
				return usagef("there is no command to run")
			}
			return a.withBox(c.Context(), ref, func(box *boxlite.Box) error {
				e := box.Command(command[0], command[1:]...)
				if err := f.apply(c, e); err != nil {
					return err
				}
				if detach {
					return a.execDetached(c.Context(), e)
				}
				return a.execForeground(c.Context(), &f, box, e)
			})
		},
	}
	f.define(c)
	c.Flags().BoolVarP(&detach, "detach", "d", false, "run the command in the background and print its ID")
	c.Flags().SetInterspersed(false) // what follows BOX is the command's
	c.MarkFlagsMutuallyExclusive("detach", "interactive")
	a.traceFlag(c)
	return c
}

// execDetached starts a command and leaves it.
func (a *app) execDetached(ctx context.Context, e *boxlite.Command) error {
	e.Detached = true
	if err := e.Start(ctx); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, e.ID())
	if err := e.Detach(); err != nil {
		return err
	}
	if err := e.Wait(); err != nil && !errors.Is(err, boxlite.ErrDetached) {
		if _, ok := errors.AsType[*boxlite.ExitError](err); !ok {
			return err
		}
	}
	return nil
}

func (a *app) execForeground(ctx context.Context, f *execFlags, box *boxlite.Box, e *boxlite.Command) error {
	keys, err := parseDetachKeys(f.detachKeys)
	if err != nil {
		return err
	}
	if f.tty {
		if err := a.needTerminal(); err != nil {
			return err
		}
	}
	if f.stdin {
		e.Stdin = a.stdin
	}
	if err := a.startForeground(ctx, e, keys); err != nil {
		return err
	}
	err = a.waitForeground(e)
	if errors.Is(err, boxlite.ErrDetached) {
		a.sayHowToReturn("boxlite attach " + labelOf(box) + " " + e.ID())
		return nil
	}
	if exit, ok := errors.AsType[*exitError](err); ok && exit.code == 128+int(syscall.SIGKILL) && exit.err == nil {
		exit.err = endOf(ctx, box)
	}
	return err
}

// endOf explains why a command was killed, if that was because its box has ended.
func endOf(ctx context.Context, box *boxlite.Box) error {
	info, err := box.Info(ctx)
	if err != nil || info.Status == boxlite.StatusRunning || info.Status == boxlite.StatusPaused {
		return nil
	}
	e := &boxlite.Error{
		Kind: boxlite.ErrStopped, Op: "run the command", Box: label(info), Err: errors.New("the box ended while it ran"),
	}
	if len(info.Args) > 0 {
		e.Hint = "a box ends with its own command, here " + strconv.Quote(shorten(oneLine(info.Args))) + "; see boxlite logs " + label(info)
	}
	return e
}

// sayHowToReturn tells whoever has left a command by the detach keys.
func (a *app) sayHowToReturn(how string) {
	fmt.Fprintln(a.stderr, "\nhint: it goes on; join it again with:", how)
}

// labelOf is how a person names the box.
func labelOf(box *boxlite.Box) string {
	if name := box.Name(); name != "" {
		return name
	}
	return box.ID()
}

// shellScript becomes the best shell that the box has.
const shellScript = `for shell in /bin/bash /usr/bin/bash /bin/zsh /bin/ash; do
	[ -x $shell ] && SHELL=$shell && export SHELL && exec $shell "$@"
done
SHELL=/bin/sh && export SHELL && exec /bin/sh "$@"`

func (a *app) shellCommand() *cobra.Command {
	var f execFlags
	c := &cobra.Command{
		Use:   "shell [flags] BOX",
		Short: "Open a shell in a box",
		Long: `Shell opens bash, or another shell that the box has, in a box, and starts the box
if need be. Where standard input is no terminal, the shell reads its commands from
there.`,
		Example:           "  boxlite shell web\n  echo 'ls /; id' | boxlite shell -u nobody web",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			_, f.tty = terminal(a.stdin)
			f.stdin = true
			return a.withBox(c.Context(), args[0], func(box *boxlite.Box) error {
				e := box.Command("/bin/sh", "-c", shellScript, "sh")
				if f.tty {
					e.Args = append(e.Args, "-l")
				}
				if err := f.apply(c, e); err != nil {
					return err
				}
				return a.execForeground(c.Context(), &f, box, e)
			})
		},
	}
	f.define(c)
	for _, implied := range []string{"tty", "interactive"} {
		_ = c.Flags().MarkHidden(implied)
	}
	a.traceFlag(c)
	return c
}
