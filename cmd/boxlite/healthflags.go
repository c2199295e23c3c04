package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

// healthFlags are docker's, of run and create.
type healthFlags struct {
	command                        string
	interval, timeout, startPeriod time.Duration
	retries                        int
	none                           bool
}

func (f *healthFlags) define(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.command, "health-cmd", "", "shell `COMMAND` that tells whether the box is well (default the image's)")
	flags.DurationVar(&f.interval, "health-interval", 0, "time between two checks (default 30s)")
	flags.DurationVar(&f.timeout, "health-timeout", 0, "how long a check may take (default 10s)")
	flags.DurationVar(&f.startPeriod, "health-start-period", 0, "how long checks may fail after the start (default 1m)")
	flags.IntVar(&f.retries, "health-retries", 0, "how many checks in a row have to fail (default 3)")
	flags.BoolVar(&f.none, "no-healthcheck", false, "don't check, whatever the image says")
	for _, flag := range []string{"health-cmd", "health-interval", "health-timeout", "health-start-period", "health-retries"} {
		c.MarkFlagsMutuallyExclusive("no-healthcheck", flag)
	}
}

// check returns what the flags say, or nil if none is given.
func (f *healthFlags) check(c *cobra.Command) (*boxlite.HealthCheck, error) {
	if f.none {
		return &boxlite.HealthCheck{Test: []string{"NONE"}}, nil
	}
	changed := c.Flags().Changed
	check := &boxlite.HealthCheck{Interval: f.interval, Timeout: f.timeout, StartPeriod: f.startPeriod, Retries: f.retries}
	switch {
	case f.startPeriod < 0:
		return nil, usagef("--health-start-period must not be below 0")
	case f.startPeriod == 0 && changed("health-start-period"):
		check.StartPeriod = -1 // which is how a spec says none
	}
	if f.command != "" {
		check.Test = []string{"CMD-SHELL", f.command}
	}
	for _, flag := range []string{"health-cmd", "health-interval", "health-timeout", "health-start-period", "health-retries"} {
		if changed(flag) {
			return check, nil
		}
	}
	return nil, nil
}
