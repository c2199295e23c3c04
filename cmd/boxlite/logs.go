package main

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) logsCommand() *cobra.Command {
	var options boxlite.LogOptions
	var tail, since, until, format string
	var timestamps bool
	c := &cobra.Command{
		Use:   "logs [flags] BOX",
		Short: "Print what a box's main process has written",
		Long: `Logs prints what the main process of a box has written, to standard output and
standard error as it did: the last 20 to 30 MiB of it, in all its runs. With
--console, it prints the console of the box's virtual machine instead.`,
		Example: `  boxlite logs -f --tail 10 web
  boxlite logs --since 10m --format json web`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			now := time.Now()
			if err := errors.Join(
				parseTail(tail, &options.Tail),
				parseTime("since", since, now, &options.Since), parseTime("until", until, now, &options.Until),
			); err != nil {
				return err
			}
			if options.Console && (since != "" || until != "" || timestamps) {
				return usagef("--console: its lines have no times, so --since, --until and --timestamps don't go with it")
			}
			write := func(line boxlite.LogLine) error { return a.printLine(line, timestamps) }
			switch format {
			case "text":
			case "json":
				write = a.printLineJSON
			default:
				return usagef("--format: %q is not a format that this command knows", format)
			}
			return a.withBox(c.Context(), args[0], func(box *boxlite.Box) error {
				for line, err := range box.Logs(c.Context(), options) {
					if err == nil {
						err = write(line)
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
	c.Flags().StringVarP(&tail, "tail", "n", "all", "print the last `N` lines only, or all")
	c.Flags().StringVar(&since, "since", "", "print what was written since `TIME`: 2026-01-31, 2026-01-31T12:00:00Z, seconds since 1970, or a duration ago, as 10m")
	c.Flags().StringVar(&until, "until", "", "print what was written until `TIME`, given as for --since")
	c.Flags().BoolVarP(&timestamps, "timestamps", "t", false, "print when each line was written")
	c.Flags().BoolVar(&options.Console, "console", false, "print the console of the virtual machine")
	c.Flags().StringVar(&format, "format", "text", "output format: text, json")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	c.MarkFlagsMutuallyExclusive("timestamps", "format")
	return c
}

// parseTail reads the value of --tail.
func parseTail(text string, n *int) error {
	if text == "all" {
		return nil
	}
	lines, err := strconv.Atoi(text)
	if err != nil || lines < 0 {
		return usagef("--tail: %q is neither a number of lines nor all", text)
	}
	if *n = lines; lines == 0 {
		*n = -1 // none of what there is
	}
	return nil
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

// printLineJSON prints a line as an object on a line of its own.
func (a *app) printLineJSON(line boxlite.LogLine) error {
	to := json.NewEncoder(a.stdout)
	to.SetEscapeHTML(false)
	return to.Encode(line)
}
