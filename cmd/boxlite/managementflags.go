package main

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

// managementFlags are those of run and create that say how a box is looked after,
// and what its container may do.
type managementFlags struct {
	capAdd, capDrop      []string
	labels               []string
	hostname, stopSignal string
	stopTimeout          int
	autoStop, autoDelete durationFlag
	noAutoResume         bool
	security             string
}

func (f *managementFlags) define(c *cobra.Command) {
	flags := c.Flags()
	flags.StringArrayVar(&f.capAdd, "cap-add", nil, "give the container the Linux `CAPABILITY`, or ALL")
	flags.StringArrayVar(&f.capDrop, "cap-drop", nil, "take the Linux `CAPABILITY` from the container, or ALL")
	flags.StringArrayVarP(&f.labels, "label", "l", nil, "note `KEY=VALUE` with the box")
	flags.StringVar(&f.hostname, "hostname", "", "`NAME` of the container (default the box's ID)")
	flags.StringVar(&f.stopSignal, "stop-signal", "", "`SIGNAL` that asks the main process to end (default the image's)")
	flags.IntVar(&f.stopTimeout, "stop-timeout", 10, "`SECONDS` that processes get to end when the box is stopped")
	flags.Var(&f.autoStop, "auto-stop", "stop the box when it has idled for so long; takes a server")
	flags.Var(&f.autoDelete, "auto-delete", "remove the box when it has been stopped for so long; takes a server")
	flags.BoolVar(&f.noAutoResume, "no-auto-resume", false, "commands don't start the box once it has been stopped")
	flags.StringVar(&f.security, "security", "", "jail around the machine: default, strict (all layers, or no start) or off (default $BOXLITE_SECURITY)")
	_ = c.RegisterFlagCompletionFunc("security", cobra.FixedCompletions([]string{"default", "strict", "off"}, cobra.ShellCompDirectiveNoFileComp))
}

// apply adds what the flags say to the spec of a box.
func (f *managementFlags) apply(c *cobra.Command, s *boxlite.BoxSpec) error {
	s.Capabilities = boxlite.Capabilities{Add: f.capAdd, Drop: f.capDrop}
	s.Hostname, s.StopSignal, s.NoAutoResume = f.hostname, f.stopSignal, f.noAutoResume
	s.AutoStop, s.AutoDelete = time.Duration(f.autoStop), time.Duration(f.autoDelete)
	s.Security = securityNamed(cmp.Or(f.security, os.Getenv("BOXLITE_SECURITY")))
	for _, label := range f.labels {
		key, value, _ := strings.Cut(label, "=")
		if key == "" {
			return usagef("--label: %q is not KEY=VALUE", label)
		}
		if s.Labels == nil {
			s.Labels = map[string]string{}
		}
		s.Labels[key] = value
	}
	if c.Flags().Changed("stop-timeout") {
		if f.stopTimeout < 0 {
			return usagef("--stop-timeout must not be below 0")
		}
		if s.StopTimeout = time.Duration(f.stopTimeout) * time.Second; f.stopTimeout == 0 {
			s.StopTimeout = -1 // which is how a spec says none
		}
	}
	return nil
}

// securityNamed returns the level that a word stands for; other tools of this name
// only have it enabled or disabled.
func securityNamed(word string) boxlite.Security {
	switch strings.ToLower(word) {
	case "enable", "enabled", "on":
		return boxlite.SecurityDefault
	case "disable", "disabled":
		return boxlite.SecurityOff
	}
	return boxlite.Security(word)
}

// durationFlag is a time as a number of seconds, or with a unit.
type durationFlag time.Duration

var durationUnits = map[string]time.Duration{
	"": time.Second, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// Set parses a duration.
func (d *durationFlag) Set(text string) error {
	digits := strings.TrimRight(text, "smhd")
	unit, ok := durationUnits[text[len(digits):]]
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || !ok || n > uint64(math.MaxInt64/unit) {
		return fmt.Errorf("%q is not a duration: use seconds, or 30s, 15m, 2h, 7d", text)
	}
	*d = durationFlag(time.Duration(n) * unit)
	return nil
}

func (d *durationFlag) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

// Type is what help shows.
func (*durationFlag) Type() string { return "DURATION" }
