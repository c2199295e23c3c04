package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/boxlite-go/boxlite"
)

func (a *app) attachCommand() *cobra.Command {
	var o joinOptions
	var noStdin bool
	c := &cobra.Command{
		Use:   "attach [flags] BOX [EXECUTION]",
		Short: "Join a command that runs in a box",
		Long: `Attach joins the main process of a box that runs, or a command that boxlite exec
has started: EXECUTION is the ID that exec -d prints and boxlite executions lists.
It shows what the command wrote before, as far as that is kept (1 MiB of each
stream, and 16 MiB more of what was written while nobody was attached), and what it
writes; on a terminal, it has the command draw itself anew instead. Signals are passed on to it, and standard input if it was started with -i.
Its exit code becomes that of boxlite.`,
		Args: cobra.RangeArgs(1, 2),
		ValidArgsFunction: func(c *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return a.executionArgs(c, args[0])
			}
			return a.boxArgs(c, args, text)
		},
		RunE: func(c *cobra.Command, args []string) error {
			o.interactive, o.mustRun = !noStdin, true
			if len(args) == 2 {
				return a.joinExecution(c.Context(), args[0], args[1], o)
			}
			return a.joinMain(c.Context(), args[0], o)
		},
	}
	c.Flags().BoolVar(&noStdin, "no-stdin", false, "don't pass standard input on")
	c.Flags().BoolVar(&o.onlyNew, "only-new", false, "leave out what the command wrote before")
	detachFlag(c, &o.detachKeys)
	return c
}

// joinOptions say how to join a command.
type joinOptions struct {
	interactive bool
	mustRun     bool // don't start the box for it
	onlyNew     bool // leave out what was written before
	detachKeys  string
}

// executionArgs completes IDs of commands that run in a box.
func (a *app) executionArgs(c *cobra.Command, ref string) (ids []string, directive cobra.ShellCompDirective) {
	_ = a.withBox(c.Context(), ref, func(box *boxlite.Box) error { // without it, nothing is completed
		list, err := box.Executions(c.Context())
		for _, e := range list {
			ids = append(ids, e.ID)
		}
		return err
	})
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// joinExecution stays with a command that was started before, to its end.
func (a *app) joinExecution(ctx context.Context, ref, id string, o joinOptions) error {
	return a.withBox(ctx, ref, func(box *boxlite.Box) error {
		list, err := box.Executions(ctx)
		if err != nil {
			return err
		}
		command := box.AttachExecution(id)
		for _, e := range list {
			if e.ID != id {
				continue
			}
			command.TTY = e.TTY
			if o.interactive && e.Stdin && e.Running() {
				command.Stdin = a.stdin
			}
		}
		err = a.join(ctx, command, o, "boxlite attach "+labelOf(box)+" "+id)
		if errors.Is(err, boxlite.ErrDetached) {
			return nil
		}
		return err
	})
}

// join stays with a command to its end, unless the detach keys leave it.
func (a *app) join(ctx context.Context, c *boxlite.Command, o joinOptions, back string) error {
	keys, err := parseDetachKeys(o.detachKeys)
	if err != nil {
		return err
	}
	// What was written to a terminal before may hold questions to it, whose answers
	// would be typed into the command now.
	fd, typed := terminal(a.stdin)
	typed = typed && c.TTY && c.Stdin != nil && o.mustRun
	if o.onlyNew || typed {
		c.StdoutOffset, c.StderrOffset = -1, -1
	}
	if err := a.startForeground(ctx, c, keys); err != nil {
		return err
	}
	if typed {
		redraw(fd, c)
	}
	err = a.waitForeground(c)
	if errors.Is(err, boxlite.ErrDetached) {
		a.sayHowToReturn(back)
	}
	return err
}

// redraw gives the command's terminal the size of this one, and has what runs on it
// draw itself anew: programs do that when the size changes.
func redraw(fd int, c *boxlite.Command) {
	cols, rows, err := term.GetSize(fd)
	if err != nil {
		return
	}
	_ = c.Resize(rows+1, cols) // one that has ended has no size
	_ = c.Resize(rows, cols)
}

// joinMain stays with a box's main process to its end. The box is started if it
// doesn't run, unless it must.
func (a *app) joinMain(ctx context.Context, name string, o joinOptions) error {
	return a.withBox(ctx, name, func(box *boxlite.Box) error {
		info, err := box.Info(ctx)
		if err != nil {
			return err
		}
		command := box.Attach()
		command.MustRun = o.mustRun
		command.TTY = info.TTY
		if o.interactive && info.Stdin {
			command.Stdin = a.stdin
		}
		err = a.join(ctx, command, o, "boxlite attach "+label(info))
		if errors.Is(err, boxlite.ErrDetached) {
			return nil
		}
		return awaitEnd(ctx, box, err)
	})
}

// lookUp finds boxes by their names. Those that nothing has are told of at once, not
// when others have been waited for.
func (a *app) lookUp(ctx context.Context, rt *boxlite.Runtime, names []string) (map[string]*boxlite.Box, error) {
	boxes := make(map[string]*boxlite.Box, len(names))
	var missing error
	for _, name := range names {
		box, err := rt.Get(ctx, name)
		if err != nil {
			a.print(err)
			missing = &exitError{code: exitFailure}
			continue
		}
		boxes[name] = box
	}
	return boxes, missing
}

// waited is how the run of a box ended, as wait prints it.
type waited struct {
	Box string `json:"box"`
	boxlite.Exit
}

func (a *app) waitCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "wait [flags] BOX...",
		Short: "Wait until boxes stop, and print the exit codes of their main processes",
		Long: `Wait prints for each box the exit code of its main process, or -1 if it had none
or its code is not known. As json or yaml, it prints how all of them ended.`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format, "text", "json", "yaml"); err != nil {
				return err
			}
			exits := []waited{}
			err := a.withRuntime(func(rt *boxlite.Runtime) error {
				boxes, missing := a.lookUp(c.Context(), rt, args)
				err := eachName(args, func(name string) error {
					box := boxes[name]
					if box == nil {
						return nil
					}
					exit, err := box.Wait(c.Context())
					if exit.Reason != "" {
						exits = append(exits, waited{name, exit})
						if format == "text" {
							fmt.Fprintln(a.stdout, exit.Code)
						}
					}
					return err
				})
				return cmp.Or(err, missing)
			})
			if format != "text" {
				err = errors.Join(err, a.write(format, exits, nil))
			}
			return err
		},
	}
	formatsFlag(c, &format, "text", "json", "yaml")
	return c
}
