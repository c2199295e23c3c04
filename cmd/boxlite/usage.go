package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/boxlite-go/boxlite/internal/suggest"
)

// usageHint says what to do about a command line that is wrong: what may have been
// meant, or whose help to read.
func usageHint(c *cobra.Command, err error) string {
	if flag, ok := errors.AsType[*pflag.NotExistError](err); ok && flag.GetSpecifiedShortnames() == "" {
		var names []string
		add := func(f *pflag.Flag) {
			if !f.Hidden && f.Deprecated == "" {
				names = append(names, f.Name)
			}
		}
		c.Flags().VisitAll(add) // with those that all commands have
		if near := suggest.Closest(flag.GetSpecifiedName(), names); near != "" {
			return "did you mean --" + near + "?"
		}
	}
	if c.Name() == "help" {
		c = c.Root() // whose command it was that help was wanted of
	}
	var word string // which cobra tells by its text only
	if _, e := fmt.Sscanf(err.Error(), "unknown command %q", &word); e == nil && c.HasSubCommands() {
		if near := suggest.Closest(word, commandNames(c)); near != "" {
			return "did you mean " + c.CommandPath() + " " + near + "?"
		}
	}
	return "see " + c.CommandPath() + " --help"
}

// commandNames lists the commands below one, with their other names.
func commandNames(c *cobra.Command) (names []string) {
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(append(names, sub.Name()), sub.Aliases...)
		}
	}
	return names
}
