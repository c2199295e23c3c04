package main

import (
	"github.com/spf13/cobra"
)

func (a *app) execCommand() *cobra.Command {
	var f processFlags
	c := &cobra.Command{
		Use:   "exec [flags] BOX [--] COMMAND [ARG...]",
		Short: "Run a command in a box that exists",
		Long: `Exec runs a command in a box, and starts the box if need be: it then runs on. A
box that was made to run one command, and has stopped, is not started: that
would run its command again.`,
		Example:           "  boxlite exec -it web -- sh\n  boxlite exec -u nobody web id",
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) (err error) {
			ref, command := args[0], args[1:]
			if command[0] == "--" {
				command = command[1:]
			}
			if len(command) == 0 {
				return usagef("there is no command to run")
			}
			env, err := f.environment()
			if err != nil {
				return err
			}
			if f.tty {
				if err := a.needTerminal(); err != nil {
					return err
				}
			}
			rt, err := a.open()
			if err != nil {
				return err
			}
			defer rt.Close()
			box, err := rt.Get(c.Context(), ref)
			if err != nil {
				return err
			}
			e := box.Command(command[0], command[1:]...)
			e.Env, e.Dir, e.User, e.TTY = env, f.dir, f.user, f.tty
			if f.stdin {
				e.Stdin = a.stdin
			}
			if err := a.startForeground(c.Context(), e); err != nil {
				return err
			}
			return a.waitForeground(e)
		},
	}
	f.define(c)
	c.Flags().SetInterspersed(false) // what follows BOX is the command's
	a.traceFlag(c)
	return c
}
