package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) listCommand() *cobra.Command {
	var all, quiet, whole bool
	var format string
	var filters []string
	c := &cobra.Command{
		Use:     "ls [flags]",
		Aliases: []string{"list", "ps"},
		Short:   "List boxes",
		Long: `Ls lists the boxes that run. With --all, or a status to filter by, it lists those
that don't, too.

Of filters with the same key one must fit, of labels all; and of each key.`,
		Example: `  boxlite ls -a
  boxlite ls --filter status=stopped --filter label=tier=front -q`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			filter, err := parseFilters(filters)
			if err != nil {
				return err
			}
			return a.withRuntime(func(rt *boxlite.Runtime) error {
				boxes, err := rt.List(c.Context())
				if err != nil {
					return err
				}
				boxes = slices.DeleteFunc(boxes, func(b boxlite.BoxInfo) bool {
					runs := b.Status.Active() || b.Status == boxlite.StatusUnknown
					return !runs && !all && len(filter["status"]) == 0 || !filter.matches(b)
				})
				if quiet {
					for _, b := range boxes {
						fmt.Fprintln(a.stdout, b.ID)
					}
					return nil
				}
				return a.write(format, boxes, func() table { return boxTable(boxes, time.Now(), whole) })
			})
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "also list boxes that don't run")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print IDs only")
	c.Flags().BoolVar(&whole, "no-trunc", false, "don't shorten commands and image names")
	c.Flags().StringArrayVarP(&filters, "filter", "f", nil, "list only boxes with `KEY=VALUE`: status=STATUS, name=PART, id=PREFIX or label=KEY[=VALUE]; may be repeated")
	formatFlag(c, &format, "table")
	c.MarkFlagsMutuallyExclusive("quiet", "format")
	return c
}

func boxTable(boxes []boxlite.BoxInfo, now time.Time, whole bool) table {
	t := table{{"ID", "NAME", "IMAGE", "COMMAND", "CREATED", "STATUS"}}
	for _, b := range boxes {
		image, command := shortImage(b.Image), shorten(wholeCommand(b))
		if whole {
			image, command = b.Image, wholeCommand(b)
		}
		t = append(t, []string{b.ID, b.Name, image, command, ago(now, b.CreatedAt), statusText(b, now)})
	}
	return t
}

// label is how a person names the box.
func label(b boxlite.BoxInfo) string {
	if b.Name != "" {
		return b.Name
	}
	return b.ID
}

// wholeCommand is the main process, if it is known.
func wholeCommand(b boxlite.BoxInfo) string {
	if len(b.Args) > 0 {
		return oneLine(b.Args)
	}
	return oneLine(slices.Concat(b.Entrypoint, b.Cmd))
}

// oneLine is a command without line breaks.
func oneLine(args []string) string { return strings.Join(strings.Fields(strings.Join(args, " ")), " ") }

// shorten puts a command on few columns.
func shorten(command string) string {
	text := []rune(command)
	if len(text) > 30 {
		return string(text[:29]) + "…"
	}
	return command
}

// healthText is a running box's health, as docker puts it.
func healthText(b boxlite.BoxInfo) string {
	switch {
	case b.Status != boxlite.StatusRunning, b.Health.Status == "", b.Health.Status == boxlite.HealthNone:
		return ""
	case b.Health.Status == boxlite.HealthStarting:
		return " (health: starting)"
	}
	return " (" + b.Health.Status + ")"
}

// statusText is a box's status with what one wants to know next.
func statusText(b boxlite.BoxInfo, now time.Time) string {
	text := string(b.Status)
	switch b.Status {
	case boxlite.StatusRunning, boxlite.StatusPaused:
		text += healthText(b)
		if b.StartedAt != nil {
			text += " for " + span(now.Sub(*b.StartedAt))
		}
	case boxlite.StatusStopped:
		if b.Exit != nil && b.Exit.Code >= 0 {
			text += fmt.Sprintf(" (%d)", b.Exit.Code)
		} else if b.Exit != nil && b.Error != "" {
			text += " (" + b.Exit.Reason + ")"
		}
		if b.FinishedAt != nil {
			text += " " + ago(now, *b.FinishedAt)
		}
	case boxlite.StatusUnknown:
		text += " (damaged record)"
	}
	return text
}
