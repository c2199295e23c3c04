package main

import (
	"context"
	"errors"
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
			return a.eachBox(c.Context(), args, func(box *boxlite.Box, ctx context.Context) error {
				if name := strings.TrimPrefix(strings.ToUpper(signal), "SIG"); name != "KILL" && name != "9" {
					err := box.Signal(ctx, signal)
					if errors.Is(err, boxlite.ErrInvalidArgument) {
						return usagef("--signal: %w", err)
					}
					return err
				}
				return box.Kill(ctx)
			})
		},
	}
	c.Flags().StringVarP(&signal, "signal", "s", "KILL", "`SIGNAL` to send, by name or number")
	return c
}
