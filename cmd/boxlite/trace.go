package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) traceFlag(c *cobra.Command) {
	c.Flags().BoolVar(&a.trace, "trace", false, "print how long each stage of the start took, on standard error")
}

// printTrace prints the stages of a start.
func printTrace(w io.Writer, info boxlite.BoxInfo) {
	t := table{{"STAGE", "TIME"}}
	for _, stage := range info.Stages {
		t = append(t, []string{stage.Name, milliseconds(stage.Duration)})
	}
	if info.StartedAt != nil {
		t = append(t, []string{"total", milliseconds(time.Since(*info.StartedAt))})
	}
	_ = t.write(w)
	fmt.Fprintf(w, "engine %s (%s), %s, Linux %s\n", info.Engine, info.Accelerator, info.Isolation.Machine, info.Kernel)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
