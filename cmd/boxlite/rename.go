package main

import (
	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) renameCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "rename BOX NAME",
		Short:             "Give a box another name",
		Long:              "Rename gives a box another name, whether it runs or not. Its ID and its hostname stay.",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withBox(c.Context(), args[0], func(box *boxlite.Box) error {
				return box.Rename(c.Context(), args[1])
			})
		},
	}
}
