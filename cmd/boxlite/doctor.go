package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) doctorCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "Check all that boxes need of this host",
		Long: `Doctor checks all that boxes need of this host, and says what to do about what is
missing. Its exit code is 0 only if a box can be started.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withRuntime(func(rt *boxlite.Runtime) error {
				d, err := rt.Doctor(c.Context())
				if err != nil {
					return err
				}
				err = a.write(format, d, func() table { return checkTable(d) })
				if format == "table" {
					for _, check := range d.Checks {
						if check.Hint != "" {
							fmt.Fprintf(a.stdout, "%s: %s\n", check.Name, printable(check.Hint))
						}
					}
				}
				return errors.Join(err, d.Err())
			})
		},
	}
	formatFlag(c, &format, "table")
	return c
}

func checkTable(d boxlite.Diagnosis) table {
	t := table{{"CHECK", "STATUS", "DETAIL"}}
	for _, c := range d.Checks {
		t = append(t, []string{c.Name, string(c.Status), c.Detail})
	}
	return t
}
