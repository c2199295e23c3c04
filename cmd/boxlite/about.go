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
			return a.withRuntime(func(rt *boxlite.Runtime) error {
				info, err := rt.Info(c.Context())
				if err != nil {
					return err
				}
				return a.write(format, info, nil)
			})
		},
	}
	formatFlag(c, &format, "yaml")
	return c
}

func (a *app) versionCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "version [flags]",
		Short: "Print the version of boxlite",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := version{boxlite.Version, revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
			if format != "text" {
				return a.write(format, v, nil)
			}
			commit := ""
			if v.Commit != "" {
				commit = " (" + v.Commit + ")"
			}
			_, err := fmt.Fprintf(a.stdout, "boxlite %s%s %s %s/%s\n", v.Version, commit, v.Go, v.OS, v.Arch)
			return err
		},
	}
	formatsFlag(c, &format, "text", "json", "yaml")
	return c
}

// version is what the command of this name prints.
type version struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"goVersion"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// revision returns the commit that boxlite was built from, if that is known.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value[:min(12, len(setting.Value))]
		}
	}
	return ""
}
