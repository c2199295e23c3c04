package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) infoCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "info [flags]",
		Short: "Print what this host can do, and what the home holds",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			rt, err := a.open()
			if err != nil {
				return err
			}
			defer rt.Close()
			info, err := rt.Info(c.Context())
			if err != nil {
				return err
			}
			return a.write(format, info, nil)
		},
	}
	formatFlag(c, &format, "yaml")
	return c
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of boxlite",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(a.stdout, "boxlite %s%s %s %s/%s\n",
				boxlite.Version, revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// revision returns the commit that boxlite was built from, if that is known.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return " (" + setting.Value[:min(12, len(setting.Value))] + ")"
		}
	}
	return ""
}
