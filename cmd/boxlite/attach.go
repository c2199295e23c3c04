package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) attachCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "attach BOX",
		Short: "Join the main process of a box that runs",
		Long: `Attach shows what the main process writes, beginning with up to 1 MiB of what it
wrote before, and passes signals on to it, and standard input if the box was made
with -i. Its exit code becomes that of boxlite.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return a.joinMain(c.Context(), args[0], true, true)
		},
	}
}

// joinMain stays with a box's main process to its end. The box is started if it
// doesn't run, unless it must.
func (a *app) joinMain(ctx context.Context, name string, interactive, mustRun bool) error {
	rt, err := a.open()
	if err != nil {
		return err
	}
	defer rt.Close()
	box, err := rt.Get(ctx, name)
	if err != nil {
		return err
	}
	info, err := box.Info(ctx)
	if err != nil {
		return err
	}
	if mustRun && info.Status != boxlite.StatusRunning {
		return &boxlite.Error{
			Kind: boxlite.ErrInvalidState, Op: "attach to the box", Box: label(info),
			Err:  fmt.Errorf("it is %s", info.Status),
			Hint: "start it and stay with it with: boxlite start -a " + label(info),
		}
	}
	command := box.Attach()
	command.TTY = info.TTY
	if interactive && info.Stdin {
		command.Stdin = a.stdin
	}
	if err := a.startForeground(ctx, command); err != nil {
		return err
	}
	return awaitEnd(ctx, box, a.waitForeground(command))
}

func (a *app) waitCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "wait BOX...",
		Short: "Wait until boxes stop, and print the exit codes of their main processes",
		Long: `Wait prints for each box the exit code of its main process, or -1 if it had none
or its code is not known.`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			rt, err := a.open()
			if err != nil {
				return err
			}
			defer rt.Close()
			return eachName(args, func(name string) error {
				box, err := rt.Get(c.Context(), name)
				if err != nil {
					return err
				}
				var exit boxlite.Exit
				if exit, err = box.Wait(c.Context()); exit.Reason != "" {
					fmt.Fprintln(a.stdout, exit.Code)
				}
				return err
			})
		},
	}
}
