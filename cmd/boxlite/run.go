package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) runCommand() *cobra.Command {
	var f boxFlags
	var detach bool
	c := &cobra.Command{
		Use:   "run [flags] IMAGE [COMMAND [ARG...]]",
		Short: "Run a command in a new box",
		Long: `Run makes a box from an image and runs a command in it: COMMAND, or the image's
own. Its output is the output of boxlite, its exit code that of boxlite.

IMAGE is a reference in a registry, or an image on this host:
  oci:DIR[:REF]         an OCI image layout
  docker-archive:FILE   the output of docker save; - is standard input
  rootfs:FILE           a tar of a root file system, or a folder; - is standard input
  boxlite/base          a small system that is part of boxlite`,
		Example: `  boxlite run boxlite/base cat /etc/os-release
  boxlite run -it --rm debian:12
  docker save app | boxlite run docker-archive:-`,
		Args:              f.imageArgument,
		ValidArgsFunction: a.imageArgs,
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := f.spec(c, args)
			if err != nil {
				return err
			}
			if detach {
				spec.Detach = true
				return a.runDetached(c.Context(), &f, spec)
			}
			return a.runForeground(c.Context(), &f, spec)
		},
	}
	f.define(c)
	a.registryFlag(c)
	c.Flags().BoolVarP(&detach, "detach", "d", false, "run the box in the background and print its ID")
	detachFlag(c, &f.detachKeys)
	a.traceFlag(c)
	return c
}

func (a *app) createCommand() *cobra.Command {
	var f boxFlags
	c := &cobra.Command{
		Use:               "create [flags] IMAGE [COMMAND [ARG...]]",
		Short:             "Make a box without starting it, and print its ID",
		Long:              "Create does what run does, but for starting the box: see boxlite start.",
		Args:              f.imageArgument,
		ValidArgsFunction: a.imageArgs,
		RunE: func(c *cobra.Command, args []string) error {
			spec, err := f.spec(c, args)
			if err != nil {
				return err
			}
			spec.Detach = true
			return a.withRuntime(func(rt *boxlite.Runtime) error {
				box, err := a.newBox(c.Context(), rt, &f, spec)
				if err == nil {
					fmt.Fprintln(a.stdout, box.ID())
				}
				return err
			})
		},
	}
	f.define(c)
	a.registryFlag(c)
	return c
}

// newBox fetches the image, if that is wanted, and makes the box.
func (a *app) newBox(ctx context.Context, rt *boxlite.Runtime, f *boxFlags, spec boxlite.BoxSpec) (*boxlite.Box, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	image, err := a.fetch(ctx, rt, spec.Image, f)
	if err != nil {
		return nil, err
	}
	if isFile(spec.Image) {
		// The file need not be there, or be the same, when the box is started.
		if spec.Image = image.Reference; spec.Image == "" {
			spec.Image = image.Digest
		}
	}
	return rt.Create(ctx, spec)
}

// isFile reports whether a reference is of an image outside of registries.
func isFile(ref string) bool {
	for _, transport := range []string{"oci:", "docker-archive:", "rootfs:"} {
		if strings.HasPrefix(ref, transport) {
			return true
		}
	}
	return false
}

func (a *app) runDetached(ctx context.Context, f *boxFlags, spec boxlite.BoxSpec) error {
	return a.withRuntime(func(rt *boxlite.Runtime) error {
		box, err := a.newBox(ctx, rt, f, spec)
		if err != nil {
			return err
		}
		if err := box.Start(ctx); err != nil {
			return discard(box, spec.AutoRemove, err)
		}
		fmt.Fprintln(a.stdout, box.ID())
		if spec.Restart.Mode != boxlite.RestartNever {
			fmt.Fprintln(a.stderr, "hint: --restart needs the program that started the box to go on, which boxlite run -d does not")
		}
		return nil
	})
}

// runForeground runs a box that ends with this process.
func (a *app) runForeground(ctx context.Context, f *boxFlags, spec boxlite.BoxSpec) (err error) {
	if spec.TTY {
		if err := a.needTerminal(); err != nil {
			return err
		}
	}
	rt, err := a.openRuntime(false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	box, err := a.newBox(ctx, rt, f, spec)
	if err != nil {
		return err
	}
	keys, err := parseDetachKeys(f.detachKeys)
	if err != nil {
		return err
	}
	command := box.Attach()
	command.TTY = spec.TTY
	if spec.Stdin {
		command.Stdin = a.stdin
	}
	if err := a.startForeground(ctx, command, keys); err != nil {
		return discard(box, spec.AutoRemove, err)
	}
	if spec.Restart.Mode != boxlite.RestartNever {
		return a.waitRestarts(ctx, box, command)
	}
	err = a.waitForeground(command)
	if errors.Is(err, boxlite.ErrDetached) {
		if err := box.Detach(ctx); err != nil {
			return err
		}
		a.sayHowToReturn("boxlite attach " + labelOf(box))
		return nil
	}
	if ctx.Err() != nil {
		return err // Close stops the box
	}
	if spec.AutoRemove && err == nil {
		// Nothing on its disk is wanted: it need not be shut down in good order.
		return ignoreNotFound(rt.Remove(ctx, box.ID(), true))
	}
	return awaitEnd(ctx, box, err)
}

// waitRestarts stays with the main process of a box that is started again when it
// has ended, until it is not, or this process was told to end.
func (a *app) waitRestarts(ctx context.Context, box *boxlite.Box, command *boxlite.Command) error {
	for {
		err := a.waitForeground(command)
		if ctx.Err() != nil {
			return err
		}
		if a.told.Load() {
			if e := box.Stop(ctx); e != nil {
				return e
			}
			return awaitEnd(ctx, box, err)
		}
		next := command.Next()
		switch started := a.startForeground(ctx, next, nil); {
		case errors.Is(started, boxlite.ErrStopped):
			return awaitEnd(ctx, box, err)
		case started != nil:
			return started
		}
		if _, ok := errors.AsType[*exitError](err); err != nil && !ok {
			a.print(err) // how the machine ended
		}
		command = next
	}
}

// awaitEnd waits, once the main process has ended, until all of the box has: then
// its files are written, and it can be removed. err is how the main process ended.
func awaitEnd(ctx context.Context, box *boxlite.Box, err error) error {
	if _, ok := errors.AsType[*exitError](err); err != nil && !ok {
		return err
	}
	if exit, failure := box.Wait(ctx); failure != nil && exit.Reason != "" {
		return &exitError{codeOfForeground(err), failure}
	}
	return err
}

// codeOfForeground returns the command's own exit code.
func codeOfForeground(err error) int {
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	return 0
}

// discard removes a box that was to be removed anyway, after its start failed.
func discard(box *boxlite.Box, autoRemove bool, err error) error {
	if !autoRemove {
		return err
	}
	return errors.Join(err, ignoreNotFound(box.Remove(context.Background())))
}

func ignoreNotFound(err error) error {
	if errors.Is(err, boxlite.ErrNotFound) {
		return nil
	}
	return err
}
