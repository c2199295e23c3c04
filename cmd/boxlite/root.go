package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "boxlite",
		Short: "Run any OCI image inside a micro-VM of its own",
		Long: `boxlite runs any OCI image inside a micro-VM of its own: without a daemon,
without root. A box keeps its files across stop and start.`,
		Example: `  boxlite run boxlite/base uname -a
  boxlite run -it debian:12
  boxlite run -d --name web nginx
  boxlite exec web -- nginx -v`,
		SilenceErrors: true,
		SilenceUsage:  true,

		DisableSuggestions: true, // usageHint has them
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.PersistentFlags().StringVar(&a.home, "home", "", "folder for boxes and images (default $BOXLITE_HOME or ~/.boxlite)")
	root.PersistentFlags().StringVar(&a.config, "config", os.Getenv("BOXLITE_CONFIG"), "JSON file with settings, see docs/configuration.md (default $BOXLITE_CONFIG)")
	root.PersistentFlags().BoolVar(&a.debug, "debug", false, "tell on standard error what is done")
	root.AddGroup(
		&cobra.Group{ID: "boxes", Title: "Boxes:"},
		&cobra.Group{ID: "images", Title: "Images:"},
		&cobra.Group{ID: "host", Title: "This host:"},
	)
	a.add(root, "boxes",
		a.runCommand(), a.createCommand(), a.startCommand(), a.stopCommand(), a.restartCommand(),
		a.killCommand(), a.pauseCommand(), a.resumeCommand(), a.execCommand(), a.shellCommand(), a.executionsCommand(),
		a.attachCommand(), a.waitCommand(), a.listCommand(), a.inspectCommand(), a.logsCommand(), a.eventsCommand(),
		a.statsCommand(), a.topCommand(), a.removeCommand(), a.renameCommand(), a.pruneCommand(),
		a.copyCommand(), a.diffCommand(),
		a.portCommand(), a.forwardCommand(), a.networkCommand())
	a.add(root, "images", a.pullCommand(), a.imagesCommand(), a.removeImageCommand())
	a.add(root, "host", a.infoCommand(), a.doctorCommand(), a.versionCommand())
	root.InitDefaultHelpCmd()
	root.CompletionOptions.HiddenDefaultCmd = true
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.Args = cobra.NoArgs
		c.RunE = func(*cobra.Command, []string) error { return usagef("name the shell: bash, zsh, fish or powershell") }
	}
	if c, _, err := root.Find([]string{"help"}); err == nil {
		c.Run, c.RunE = nil, func(_ *cobra.Command, args []string) error { return help(root, args) }
	}
	return root
}

// help prints the help of the command that args name.
func help(root *cobra.Command, args []string) error {
	c, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usagef("unknown command %q for %q", rest[0], c.CommandPath())
	}
	c.InitDefaultHelpFlag()
	return c.Help()
}

// add joins commands to root, and notes when one of them begins to run.
func (a *app) add(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		do := c.RunE
		c.RunE = func(c *cobra.Command, args []string) error {
			a.ran = true
			return do(c, args)
		}
		c.GroupID = group
		root.AddCommand(c)
	}
}

// boxArgs completes names of boxes.
func (a *app) boxArgs(c *cobra.Command, _ []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	_ = a.withRuntime(func(rt *boxlite.Runtime) error { // nothing to complete with is no failure
		boxes, err := rt.List(c.Context())
		for _, b := range boxes {
			names = append(names, label(b))
		}
		return err
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}

// imageArgs completes names of images, for the first argument.
func (a *app) imageArgs(c *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	_ = a.withRuntime(func(rt *boxlite.Runtime) error {
		images, err := rt.Images().List(c.Context())
		for _, i := range images {
			if i.Reference != "" {
				names = append(names, i.Reference)
			}
		}
		return err
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}
