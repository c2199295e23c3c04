package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

// pruned is what prune has removed, as --format json prints it.
type pruned struct {
	Boxes          []string `json:"boxes"`
	Images         []string `json:"images"`
	ReclaimedBytes int64    `json:"reclaimedBytes"`
}

func (a *app) pruneCommand() *cobra.Command {
	var force, images bool
	var format string
	c := &cobra.Command{
		Use:   "prune [flags]",
		Short: "Remove all boxes that don't run, and with --images all unused images",
		Long: `Prune removes all boxes that don't run: those that have stopped, those that failed
to start, and those that were never started. With --images, it then removes all
images that no box is made from. It prints what was removed, and how much room that
makes.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkFormat(format, "text", "json", "yaml"); err != nil {
				return err
			}
			question := "Remove all boxes that don't run, and their files?"
			if images {
				question = "Remove all boxes that don't run, their files, and all images that no box uses then?"
			}
			if sure, err := a.ask(force, "prune", question); !sure {
				return err
			}
			return a.withRuntime(func(rt *boxlite.Runtime) error {
				done, err := prune(c.Context(), rt, images)
				return errors.Join(a.writePruned(format, done), err)
			})
		},
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "don't ask")
	c.Flags().BoolVar(&images, "images", false, "also remove images that no box uses")
	formatsFlag(c, &format, "text", "json", "yaml")
	return c
}

// prune removes what it can, though something fails.
func prune(ctx context.Context, rt *boxlite.Runtime, images bool) (pruned, error) {
	done := pruned{Boxes: []string{}, Images: []string{}}
	boxes, err := rt.List(ctx)
	failed := []error{err}
	for _, b := range boxes {
		switch b.Status {
		case boxlite.StatusConfigured, boxlite.StatusStopped, boxlite.StatusFailed:
		default:
			continue
		}
		switch err := rt.Remove(ctx, b.ID, false); {
		case err == nil:
			done.Boxes = append(done.Boxes, label(b))
			done.ReclaimedBytes += b.DiskUsedBytes
		case errors.Is(err, boxlite.ErrInvalidState), errors.Is(err, boxlite.ErrNotFound):
			// Another has just started or removed it.
		default:
			failed = append(failed, err)
		}
	}
	if images && err == nil {
		removed, freed, err := rt.Images().PruneUnused(ctx)
		done.Images = append(done.Images, removed...)
		done.ReclaimedBytes += freed
		failed = append(failed, err)
	}
	return done, errors.Join(failed...)
}

func (a *app) writePruned(format string, p pruned) error {
	if format != "text" {
		return a.write(format, p, nil)
	}
	for _, name := range p.Boxes {
		fmt.Fprintln(a.stdout, "removed:", name)
	}
	for _, what := range p.Images {
		fmt.Fprintln(a.stdout, printable(what))
	}
	_, err := fmt.Fprintln(a.stdout, "reclaimed", byteCount(p.ReclaimedBytes))
	return err
}

// ask asks whether something that can't be undone is meant. It takes a terminal,
// unless force says yes.
func (a *app) ask(force bool, command, question string) (bool, error) {
	if force {
		return true, nil
	}
	if _, ok := terminal(a.stdin); !ok {
		return false, usagef("%s asks first, and there is no terminal: add --force", command)
	}
	fmt.Fprint(a.stderr, question+" [y/N] ")
	answer, _ := bufio.NewReader(a.stdin).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", nil
}
