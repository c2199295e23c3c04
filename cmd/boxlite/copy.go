package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) copyCommand() *cobra.Command {
	var o boxlite.CopyOptions
	var quiet bool
	c := &cobra.Command{
		Use:     "cp [flags] BOX:SRC DST|-\n  boxlite cp [flags] SRC|- BOX:DST",
		Aliases: []string{"copy"},
		Short:   "Copy files into a box, or out of it",
		Long: `Cp copies a file or folder between host and box. One of SRC and DST names a path
in a box; a local path with a colon is written ./a:b. With -, a tar is read from
standard input, or written to standard output.

A folder that exists at DST gets SRC, under its name; if SRC ends in /. it gets
what is in SRC. Else DST becomes the new name, in a folder that exists. What is
copied into a box belongs to the box's user, what is copied out to you.

A box that does not run is started for the copy, and stopped again.`,
		Example:           "  boxlite cp app.conf web:/etc/app/\n  boxlite cp web:/var/log/. logs\n  boxlite cp web:/srv - | tar t",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.copyArgs,
		RunE: func(c *cobra.Command, args []string) error {
			from, to := parseCopyArg(args[0]), parseCopyArg(args[1])
			switch {
			case from.box == "" && to.box == "":
				return usagef("one of SRC and DST must be in a box, as BOX:PATH")
			case from.box != "" && to.box != "":
				return usagef("only one of SRC and DST may be in a box; from box to box it goes as: boxlite cp A:SRC - | boxlite cp - B:DST")
			}
			ref := from.box + to.box
			for _, end := range []copyEnd{from, to} {
				if end.path == "" {
					return usagef("%q names no path: name a file or folder, such as %s:/root", end.arg, ref)
				}
			}
			show := newCopyProgress(a.stderr, quiet)
			defer show.close()
			o.Progress = show.update
			return a.withFiles(c.Context(), ref, func(box *boxlite.Box) error {
				return a.copyFiles(c.Context(), box, from, to, o)
			})
		},
	}
	c.Flags().BoolVarP(&o.Archive, "archive", "a", false, "keep owners and set-ID bits; copy devices and FIFOs, too")
	c.Flags().BoolVarP(&o.FollowSymlinks, "follow-symlinks", "L", false, "if SRC is a symbolic link, copy what it points to")
	c.Flags().BoolVar(&o.FollowSymlinks, "follow-link", false, "docker's name for --follow-symlinks")
	_ = c.Flags().MarkHidden("follow-link")
	c.Flags().BoolVar(&o.NoOverwrite, "no-overwrite", false, "fail if a file exists, instead of replacing it")
	c.Flags().BoolVar(&o.NoIncludeParent, "no-include-parent", false, "copy what is in SRC, as if it ended in /.")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "don't show how far a long copy is")
	return c
}

// copyEnd is an argument of cp.
type copyEnd struct{ arg, box, path string }

// parseCopyArg reads BOX:PATH, or a path here. One that begins like a path is
// one, with a colon or not.
func parseCopyArg(arg string) copyEnd {
	box, path, found := strings.Cut(arg, ":")
	if !found || box == "" || strings.HasPrefix(arg, ".") || filepath.IsAbs(arg) || strings.Contains(box, "/") {
		return copyEnd{arg: arg, path: arg}
	}
	return copyEnd{arg: arg, box: box, path: path}
}

func (a *app) copyFiles(ctx context.Context, box *boxlite.Box, from, to copyEnd, o boxlite.CopyOptions) error {
	switch {
	case from.arg == "-":
		return box.CopyTarIn(ctx, a.stdin, to.path, o)
	case to.arg == "-":
		if _, ok := terminal(a.stdout); ok {
			return usagef("a tar is nothing for a terminal: send it to a file or program")
		}
		return box.CopyTarOut(ctx, from.path, a.stdout, o)
	case to.box != "":
		return box.CopyIn(ctx, from.path, to.path, o)
	}
	return box.CopyOut(ctx, from.path, to.path, o)
}

// withFiles calls do with a box, whose start is only for that if it did not run.
func (a *app) withFiles(ctx context.Context, ref string, do func(*boxlite.Box) error) error {
	return a.withBox(ctx, ref, func(box *boxlite.Box) error {
		info, err := box.Info(ctx)
		if err != nil {
			return err
		}
		switch info.Status {
		case boxlite.StatusConfigured, boxlite.StatusStopped, boxlite.StatusFailed:
		default:
			return do(box)
		}
		if info.Status != boxlite.StatusStopped && len(info.Cmd)+len(info.Entrypoint) > 0 {
			return &boxlite.Error{
				Kind: boxlite.ErrInvalidState, Op: "use the box", Box: label(info),
				Err:  fmt.Errorf("it is %s", info.Status),
				Hint: "starting it would run its own command: if that is wanted, use: boxlite start " + label(info),
			}
		}
		err = do(box)
		return errors.Join(err, ignoreNotFound(box.Stop(context.WithoutCancel(ctx))))
	})
}

func (a *app) diffCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "diff [flags] BOX",
		Short: "List what differs in a box from its image",
		Long: `Diff lists the files that were added (A), changed (C) and deleted (D) in a box
since it was made. A box that does not run is started for it, and stopped again.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			switch format {
			case "table", "json", "yaml":
			default:
				return usagef("--format: %q is not a format that this command knows", format)
			}
			return a.withFiles(c.Context(), args[0], func(box *boxlite.Box) error {
				changes, err := box.Diff(c.Context())
				if err != nil {
					return err
				}
				if format != "table" {
					return a.write(format, changes, nil)
				}
				for _, change := range changes {
					fmt.Fprintf(a.stdout, "%s %s\n", changeLetters[change.Kind], printable(change.Path))
				}
				return nil
			})
		},
	}
	formatFlag(c, &format, "table")
	return c
}

var changeLetters = map[boxlite.ChangeKind]string{
	boxlite.ChangeAdded: "A", boxlite.ChangeModified: "C", boxlite.ChangeDeleted: "D",
}

// copyArgs completes "BOX:" and local files.
func (a *app) copyArgs(c *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) >= 2 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	boxes, _ := a.boxArgs(c, nil, "")
	var names []string
	for _, name := range boxes {
		if strings.HasPrefix(name, toComplete) {
			names = append(names, name+":")
		}
	}
	if len(names) == 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return names, cobra.ShellCompDirectiveNoSpace
}

// longCopy is how long a copy takes before anything is shown of it.
const longCopy = time.Second

// copyProgress shows, on a terminal, how far a long copy is.
type copyProgress struct {
	w     io.Writer
	began time.Time
	drawn time.Time
	shown bool
	bytes int64
}

// newCopyProgress returns nil where nothing is to be shown.
func newCopyProgress(w io.Writer, quiet bool) *copyProgress {
	if _, ok := terminal(w); !ok || quiet {
		return nil
	}
	return &copyProgress{w: w, began: time.Now()}
}

func (p *copyProgress) update(bytes int64) {
	if p == nil {
		return
	}
	p.bytes = bytes
	now := time.Now()
	if now.Sub(p.began) < longCopy || now.Sub(p.drawn) < drawEvery {
		return
	}
	p.shown, p.drawn = true, now
	rate := int64(float64(bytes) / now.Sub(p.began).Seconds())
	fmt.Fprintf(p.w, "\r%s copied, %s/s\x1b[K", byteCount(bytes), byteCount(rate))
}

func (p *copyProgress) close() {
	if p != nil && p.shown {
		fmt.Fprintf(p.w, "\r%s copied\x1b[K\n", byteCount(p.bytes))
	}
}
