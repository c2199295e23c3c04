package main

import (
	"os"

	"github.com/spf13/cobra"
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
		SilenceErrors:              true,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.PersistentFlags().StringVar(&a.home, "home", "", "folder for boxes and images (default $BOXLITE_HOME or ~/.boxlite)")
	root.PersistentFlags().StringVar(&a.config, "config", os.Getenv("BOXLITE_CONFIG"), "JSON file with settings, see docs/configuration.md (default $BOXLITE_CONFIG)")
	root.AddGroup(
		&cobra.Group{ID: "boxes", Title: "Boxes:"},
		&cobra.Group{ID: "images", Title: "Images:"},
		&cobra.Group{ID: "host", Title: "This host:"},
	)
	a.add(root, "boxes",
		a.runCommand(), a.createCommand(), a.startCommand(), a.stopCommand(), a.restartCommand(),
		a.killCommand(), a.pauseCommand(), a.resumeCommand(), a.execCommand(), a.attachCommand(), a.waitCommand(),
		a.listCommand(), a.inspectCommand(), a.logsCommand(), a.eventsCommand(),
		a.statsCommand(), a.topCommand(), a.removeCommand())
	a.add(root, "images", a.pullCommand(), a.imagesCommand(), a.removeImageCommand())
	a.add(root, "host", a.infoCommand(), a.doctorCommand(), a.versionCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	return root
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
func (a *app) boxArgs(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	rt, err := a.open()
	if err != nil {
		return nil, none
	}
	defer rt.Close()
	boxes, err := rt.List(c.Context())
	if err != nil {
		return nil, none
	}
	var names []string
	for _, b := range boxes {
		names = append(names, label(b))
	}
	return names, none
}

// imageArgs completes names of images, for the first argument.
func (a *app) imageArgs(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 {
		return nil, none
	}
	rt, err := a.open()
	if err != nil {
		return nil, none
	}
	defer rt.Close()
	images, err := rt.Images().List(c.Context())
	if err != nil {
		return nil, none
	}
	var names []string
	for _, i := range images {
		if i.Reference != "" {
			names = append(names, i.Reference)
		}
	}
	return names, none
}
