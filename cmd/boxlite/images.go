package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) pullCommand() *cobra.Command {
	var platform, format string
	var quiet bool
	c := &cobra.Command{
		Use:   "pull [flags] IMAGE",
		Short: "Fetch an image from a registry, or import it from a file",
		Long: `Pull fetches an image and makes of it the disk that boxes start from. It prints
the image's reference and digest; run lists the forms that IMAGE can have.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.imageArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format, "text", "json", "yaml"); err != nil {
				return err
			}
			return a.withRuntime(func(rt *boxlite.Runtime) error {
				image, err := a.pullImage(c.Context(), rt, args[0], boxlite.PullOptions{Platform: platform}, quiet)
				switch {
				case err != nil:
					return err
				case format != "text":
					return a.write(format, image, nil)
				case quiet:
					_, err = fmt.Fprintln(a.stdout, image.ID)
				default:
					_, err = fmt.Fprintf(a.stdout, "%s %s\n", image.Reference, image.Digest)
				}
				return err
			})
		},
	}
	a.registryFlag(c)
	c.Flags().StringVar(&platform, "platform", "", "use the image for this platform, such as linux/amd64")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print the image's ID only, and no progress")
	formatsFlag(c, &format, "text", "json", "yaml")
	return c
}

// fetch returns the image for a new box, after fetching it as --pull says.
func (a *app) fetch(ctx context.Context, rt *boxlite.Runtime, ref string, f *boxFlags) (boxlite.Image, error) {
	options := boxlite.PullOptions{Platform: f.platform}
	switch f.pull {
	case "missing":
		options.Missing = true
	case "always":
	case "never":
		return rt.Images().Get(ctx, ref)
	default:
		return boxlite.Image{}, usagef("--pull: %q is not missing, always or never", f.pull)
	}
	return a.pullImage(ctx, rt, ref, options, f.quiet)
}

func (a *app) pullImage(ctx context.Context, rt *boxlite.Runtime, ref string, options boxlite.PullOptions, quiet bool) (boxlite.Image, error) {
	options.Stdin = a.stdin
	if !quiet {
		p := newProgress(a.stderr, ref)
		defer p.close()
		options.Progress = p.update
	}
	return rt.Images().Pull(ctx, ref, options)
}

func (a *app) imagesCommand() *cobra.Command {
	var quiet bool
	var format string
	c := &cobra.Command{
		Use:   "images [flags]",
		Short: "List images",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withRuntime(func(rt *boxlite.Runtime) error {
				images, err := rt.Images().List(c.Context())
				if err != nil {
					return err
				}
				if quiet {
					for _, i := range images {
						fmt.Fprintln(a.stdout, shortDigest(i.ID))
					}
					return nil
				}
				return a.write(format, images, func() table { return imageTable(images, time.Now()) })
			})
		},
	}
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "print IDs only")
	formatFlag(c, &format, "table")
	c.MarkFlagsMutuallyExclusive("quiet", "format")
	return c
}

func imageTable(images []boxlite.Image, now time.Time) table {
	t := table{{"REFERENCE", "ID", "PLATFORM", "CREATED", "SIZE"}}
	for _, i := range images {
		ref := shortImage(i.Reference)
		if ref == "" {
			ref = "<none>"
		}
		created := ""
		if i.CreatedAt != nil {
			created = ago(now, *i.CreatedAt)
		}
		t = append(t, []string{ref, shortDigest(i.ID), i.Platform, created, byteCount(i.Size)})
	}
	return t
}

func (a *app) removeImageCommand() *cobra.Command {
	var force, unused bool
	c := &cobra.Command{
		Use:   "rmi [flags] IMAGE...",
		Short: "Remove images",
		Long: `Rmi removes references from the store, and with its last one an image's files.
With --unused, it removes all that no reference and no box needs, and prints how
much that frees.`,
		ValidArgsFunction: a.imageArgs,
		Args: func(_ *cobra.Command, args []string) error {
			if unused == (len(args) > 0) {
				return errors.New("name the images to remove, or use --unused")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return a.withRuntime(func(rt *boxlite.Runtime) error {
				if unused {
					freed, err := rt.Images().Prune(c.Context())
					if err == nil {
						fmt.Fprintln(a.stdout, "freed", byteCount(freed))
					}
					return err
				}
				return eachName(args, func(ref string) error {
					removed, err := rt.Images().Remove(c.Context(), ref, force)
					for _, what := range removed {
						fmt.Fprintln(a.stdout, what)
					}
					return err
				})
			})
		},
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "also remove images that boxes are made from")
	c.Flags().BoolVar(&unused, "unused", false, "remove all that nothing needs")
	return c
}
