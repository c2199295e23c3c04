package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) startCommand() *cobra.Command {
	var attach, interactive bool
	var detachKeys string
	c := &cobra.Command{
		Use:   "start [flags] BOX...",
		Short: "Start boxes in the background, or one in the foreground with -a",
		Long: `Start starts boxes that are stopped, or were never started. With -a, it stays with
the main process as run does: its output and exit code are those of boxlite.`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if attach || interactive {
				if len(args) > 1 {
					return usagef("only one box can be started in the foreground")
				}
				return a.joinMain(c.Context(), args[0], joinOptions{interactive: interactive, detachKeys: detachKeys})
			}
			return a.eachBox(c.Context(), args, (*boxlite.Box).Start)
		},
	}
	c.Flags().BoolVarP(&attach, "attach", "a", false, "stay with the main process until it ends")
	c.Flags().BoolVarP(&interactive, "interactive", "i", false, "as --attach, and pass on standard input, if the box was made with -i")
	detachFlag(c, &detachKeys)
	a.traceFlag(c)
	return c
}

func (a *app) stopCommand() *cobra.Command {
	return a.graceCommand("stop", "Stop boxes; their files stay", (*boxlite.Box).Stop, (*boxlite.Box).StopWithin)
}

func (a *app) restartCommand() *cobra.Command {
	stopAndStart := func(box *boxlite.Box, ctx context.Context) error {
		if err := box.Stop(ctx); err != nil {
			return err
		}
		return box.Start(ctx)
	}
	return a.graceCommand("restart", "Stop boxes and start them again", stopAndStart, (*boxlite.Box).Restart)
}

// graceCommand returns a command that gives processes time to end: the box's own,
// or that of a flag.
func (a *app) graceCommand(verb, short string,
	do func(*boxlite.Box, context.Context) error, within func(*boxlite.Box, context.Context, time.Duration) error,
) *cobra.Command {
	var seconds int
	c := &cobra.Command{
		Use:               verb + " [flags] BOX...",
		Short:             short,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if seconds < 0 {
				return usagef("--timeout must not be below 0")
			}
			if !c.Flags().Changed("timeout") && !c.Flags().Changed("time") {
				return a.eachBox(c.Context(), args, do)
			}
			return a.eachBox(c.Context(), args, func(box *boxlite.Box, ctx context.Context) error {
				return within(box, ctx, time.Duration(seconds)*time.Second)
			})
		},
	}
	c.Flags().IntVarP(&seconds, "timeout", "t", 0, "`SECONDS` that processes get to end before they are killed (default 10, or the box's --stop-timeout)")
	c.Flags().IntVar(&seconds, "time", 0, "docker's older name for --timeout")
	_ = c.Flags().MarkHidden("time")
	return c
}

func (a *app) pauseCommand() *cobra.Command {
	return a.changeCommand("pause", "Make boxes stand still, with all that is in their memory", (*boxlite.Box).Pause)
}

func (a *app) resumeCommand() *cobra.Command {
	c := a.changeCommand("resume", "Let paused boxes go on", (*boxlite.Box).Resume)
	c.Aliases = []string{"unpause"}
	return c
}

// changeCommand returns a command that does one thing with each box.
func (a *app) changeCommand(verb, short string, do func(*boxlite.Box, context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use:               verb + " BOX...",
		Short:             short,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return a.eachBox(c.Context(), args, do)
		},
	}
}

func (a *app) removeCommand() *cobra.Command {
	var force, all bool
	c := &cobra.Command{
		Use:               "rm [flags] BOX...",
		Aliases:           []string{"remove"},
		Short:             "Remove boxes and all their files",
		ValidArgsFunction: a.boxArgs,
		Args: func(_ *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("name the boxes to remove, or use --all")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if all {
				var err error
				if args, err = a.allBoxes(c, force); err != nil {
					return err
				}
			}
			return a.eachNamed(args, func(rt *boxlite.Runtime, name string) error {
				return rt.Remove(c.Context(), name, force)
			})
		},
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "also remove boxes that run")
	c.Flags().BoolVarP(&all, "all", "a", false, "remove all boxes")
	return c
}

// allBoxes returns the IDs of all boxes, after asking whether that is meant.
func (a *app) allBoxes(c *cobra.Command, force bool) ([]string, error) {
	var ids []string
	err := a.withRuntime(func(rt *boxlite.Runtime) error {
		boxes, err := rt.List(c.Context())
		for _, b := range boxes {
			ids = append(ids, b.ID)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if sure, err := a.ask(force || len(ids) == 0, "rm --all", fmt.Sprintf("Remove all %d boxes and their files?", len(ids))); !sure {
		return nil, err
	}
	return ids, nil
}

// eachBox calls do for each box and prints the names of those it succeeds with.
func (a *app) eachBox(ctx context.Context, names []string, do func(*boxlite.Box, context.Context) error) error {
	return a.eachNamed(names, func(rt *boxlite.Runtime, name string) error {
		box, err := rt.Get(ctx, name)
		if err != nil {
			return err
		}
		return do(box, ctx)
	})
}

// eachNamed calls do for each name and prints those it succeeds with.
func (a *app) eachNamed(names []string, do func(rt *boxlite.Runtime, name string) error) error {
	return a.withRuntime(func(rt *boxlite.Runtime) error {
		return eachName(names, func(name string) error {
			err := do(rt, name)
			if err == nil {
				fmt.Fprintln(a.stdout, name)
			}
			return err
		})
	})
}
