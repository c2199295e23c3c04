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
	var all, quiet bool
	var format string
	c := &cobra.Command{
		Use:     "ls [flags]",
		Aliases: []string{"list", "ps"},
		Short:   "List boxes",
		Long:    "Ls lists the boxes that run. With --all, it lists those that don't, too.",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			rt, err := a.open()
			if err != nil {
				return err
			}
			defer rt.Close()
			boxes, err := rt.List(c.Context())
			if err != nil {
				return err
			}
			if !all {
				boxes = slices.DeleteFunc(boxes, func(b boxlite.BoxInfo) bool {
					return !b.Status.Active() && b.Status != boxlite.StatusUnknown
				})
			}
			if quiet {
				for _, b := range boxes {
					fmt.Fprintln(a.stdout, b.ID)
				}
				return nil
			}
			return a.write(format, boxes, func() table { return boxTable(boxes, time.Now()) })
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "also list boxes that don't run")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print IDs only")
	formatFlag(c, &format, "table")
	c.MarkFlagsMutuallyExclusive("quiet", "format")
	return c
}

func boxTable(boxes []boxlite.BoxInfo, now time.Time) table {
	t := table{{"ID", "NAME", "IMAGE", "COMMAND", "CREATED", "STATUS"}}
	for _, b := range boxes {
		t = append(t, []string{b.ID, b.Name, shortImage(b.Image), shortCommand(b), ago(now, b.CreatedAt), statusText(b, now)})
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

// shortCommand is the main process, if it is known, on few columns.
func shortCommand(b boxlite.BoxInfo) string {
	args := b.Args
	if len(args) == 0 {
		args = slices.Concat(b.Entrypoint, b.Cmd)
	}
	return shortArgs(args)
}

// shortArgs is a command on few columns.
func shortArgs(args []string) string {
	text := []rune(strings.Join(strings.Fields(strings.Join(args, " ")), " "))
	if len(text) > 30 {
		return string(text[:29]) + "…"
	}
	return string(text)
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
