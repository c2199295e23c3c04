package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) logsCommand() *cobra.Command {
	var options boxlite.LogOptions
	var timestamps bool
	c := &cobra.Command{
		Use:   "logs [flags] BOX",
		Short: "Print what a box's main process has written",
		Long: `Logs prints what the main process of a box has written, to standard output and
standard error as it did. With --console, it prints the console of the box's
virtual machine instead.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if options.Tail < 0 {
				return usagef("--tail must not be below 0")
			}
			return a.withBox(c.Context(), args[0], func(box *boxlite.Box) error {
				for line, err := range box.Logs(c.Context(), options) {
					if err == nil {
						err = a.printLine(line, timestamps)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	c.Flags().BoolVarP(&options.Follow, "follow", "f", false, "go on until the box stops")
	c.Flags().IntVarP(&options.Tail, "tail", "n", 0, "print the last `N` lines only (default 0, all)")
	c.Flags().BoolVarP(&timestamps, "timestamps", "t", false, "print when each line was written")
	c.Flags().BoolVar(&options.Console, "console", false, "print the console of the virtual machine")
	return c
}

func (a *app) printLine(line boxlite.LogLine, timestamps bool) error {
	w := a.stdout
	if line.Stream == "stderr" {
		w = a.stderr
	}
	text := line.Text
	if timestamps && !line.Time.IsZero() {
		text = line.Time.Format("2006-01-02T15:04:05.000000000Z07:00 ") + text
	}
	_, err := io.WriteString(w, text)
	return err
}
