package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) topCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "top [flags] BOX",
		Short: "List the processes in a box",
		Long: `Top lists the processes in a box, as its guest sees them. A process whose PPID is
0 was started from outside: by boxlite exec, or as the main process. C is how much
of one CPU a process has used on average since it started, in per cent.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withBox(c.Context(), args[0], func(box *boxlite.Box) error {
				processes, err := box.Processes(c.Context())
				if err != nil {
					return err
				}
				return a.write(format, processes, func() table { return topTable(processes, time.Now()) })
			})
		},
	}
	formatFlag(c, &format, "table")
	return c
}

func topTable(processes []boxlite.Process, now time.Time) table {
	t := table{{"UID", "PID", "PPID", "C", "STIME", "RSS", "TIME", "CMD"}}
	for _, p := range processes {
		usage := 0.0
		if lived := now.Sub(p.StartedAt); lived > 0 {
			usage = 100 * float64(p.CPU) / float64(lived)
		}
		command := strings.Join(p.Args, " ")
		if command == "" {
			command = "[" + p.Name + "]"
		}
		t = append(t, []string{
			strconv.Itoa(p.UID), strconv.Itoa(p.PID), strconv.Itoa(p.Parent), fmt.Sprintf("%.0f", usage),
			startText(p.StartedAt, now), bytesOf(p.MemoryBytes), cpuText(p.CPU), command,
		})
	}
	return t
}

// startText is when a process started, as ps shows it.
func startText(at, now time.Time) string {
	if now.Sub(at) < 24*time.Hour {
		return at.Local().Format("15:04")
	}
	return at.Local().Format("Jan02")
}

// cpuText is a time of computing, as ps shows it.
func cpuText(d time.Duration) string {
	s := int(d / time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}
