package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) killCommand() *cobra.Command {
	var signal string
	c := &cobra.Command{
		Use:   "kill [flags] BOX...",
		Short: "End boxes at once, or send their main process a signal",
		Long: `Kill ends all processes of a box at once, and then the box; its files stay, with
all that was written to them. With another signal than SIGKILL, it sends that to
the main process and nothing else.`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return a.eachBox(args, func(rt *boxlite.Runtime, name string) error {
				box, err := rt.Get(c.Context(), name)
				if err != nil {
					return err
				}
				if name := strings.TrimPrefix(strings.ToUpper(signal), "SIG"); name != "KILL" && name != "9" {
					return box.Signal(c.Context(), signal)
				}
				return box.Kill(c.Context())
			})
		},
	}
	c.Flags().StringVarP(&signal, "signal", "s", "KILL", "`SIGNAL` to send, by name or number")
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
