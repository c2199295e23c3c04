package main

import (
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) executionsCommand() *cobra.Command {
	var all bool
	var format string
	c := &cobra.Command{
		Use:     "executions [flags] BOX",
		Aliases: []string{"execs"},
		Short:   "List the commands that run in a box",
		Long: `Executions lists the commands that boxlite exec, or a program, has started in a
box and that still run; main is the box's own. With --all, it lists the last 16
that have ended, too. boxlite attach joins one by its ID.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withBox(c.Context(), args[0], func(box *boxlite.Box) error {
				list, err := box.Executions(c.Context())
				if err != nil {
					return err
				}
				if !all {
					list = slices.DeleteFunc(list, func(e boxlite.Execution) bool { return !e.Running() })
				}
				return a.write(format, list, func() table { return executionTable(list, time.Now()) })
			})
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "also list commands that have ended")
	formatFlag(c, &format, "table")
	return c
}

func executionTable(list []boxlite.Execution, now time.Time) table {
	t := table{{"ID", "PID", "COMMAND", "STARTED", "STATUS", "CPU", "MEMORY", "OUTPUT"}}
	for _, e := range list {
		status, cpu, memory := "running", e.CPUTime, e.MemoryBytes
		if !e.Running() {
			status, cpu, memory = "ended (0)", e.Usage.UserTime+e.Usage.SystemTime, e.Usage.MaxMemoryBytes
			if e.Exit != nil {
				status = "ended (" + strconv.Itoa(e.Exit.Code) + ")"
			}
		}
		t = append(t, []string{
			e.ID, strconv.Itoa(e.PID), shorten(oneLine(e.Args)), ago(now, e.StartedAt), status,
			cpu.Round(10 * time.Millisecond).String(), byteCount(memory), byteCount(e.StdoutBytes + e.StderrBytes),
		})
	}
	return t
}
