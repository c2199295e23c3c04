package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/test/measure"
)

// Of what is copied.
const (
	copiedFiles = 10_000
	copiedBytes = 4 << 10
	// copyRuns is enough for what takes tens of seconds.
	copyRuns = 3
)

// files compares copies into and out of a box with tar, which runs on both sides
// and is joined by a command's standard streams.
func (b *bench) files(ctx context.Context) error {
	box, stop, err := b.box(ctx)
	if err != nil {
		return err
	}
	defer stop()
	tree := filepath.Join(b.scratch, "tree")
	if err := makeFiles(tree); err != nil {
		return err
	}
	run := func(args ...string) error { return box.Command(args[0], args[1:]...).Run(ctx) }
	fresh := func(do func() error) func() (time.Duration, error) {
		return func() (time.Duration, error) {
			if err := run("sh", "-c", "rm -rf /bench && mkdir /bench"); err != nil {
				return 0, err
			}
			return measure.Timed(do)
		}
	}
	copyIn, tarIn, err := measure.InTurn(min(b.runs, copyRuns),
		fresh(func() error { return box.CopyIn(ctx, tree, "/bench", boxlite.CopyOptions{}) }),
		fresh(func() error { return tarInto(ctx, box, tree) }))
	if err != nil {
		return err
	}
	rowCopy("in", copyIn, tarIn)

	out := filepath.Join(b.scratch, "out")
	emptied := func(do func() error) func() (time.Duration, error) {
		return func() (time.Duration, error) {
			if err := os.RemoveAll(out); err != nil {
				return 0, err
			}
			if err := os.Mkdir(out, 0o755); err != nil {
				return 0, err
			}
			return measure.Timed(do)
		}
	}
	copyOut, tarOut, err := measure.InTurn(min(b.runs, copyRuns),
		emptied(func() error { return box.CopyOut(ctx, "/bench/tree", out, boxlite.CopyOptions{}) }),
		emptied(func() error { return tarFrom(ctx, box, out) }))
	if err != nil {
		return err
	}
	rowCopy("out", copyOut, tarOut)
	return box.Stop(ctx)
}

func rowCopy(way string, ours, tar time.Duration) {
	ratio := float64(ours) / float64(tar)
	measure.Row(fmt.Sprintf("copy of %d files of %d bytes, %s", copiedFiles, copiedBytes, way), ms(ours),
		fmt.Sprintf("tar over a command's streams %s: %.2f ×", ms(tar), ratio), "≤ 2 ×", ratio <= 2)
}

// makeFiles makes the files in folders of 100.
func makeFiles(tree string) error {
	content := bytes.Repeat([]byte("0123456789abcdef"), copiedBytes/16)
	for i := range copiedFiles {
		dir := filepath.Join(tree, fmt.Sprint(i/100))
		if i%100 == 0 {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func tarInto(ctx context.Context, box *boxlite.Box, tree string) error {
	pack := exec.CommandContext(ctx, "tar", "cf", "-", "-C", filepath.Dir(tree), filepath.Base(tree))
	stdout, err := pack.StdoutPipe()
	if err != nil {
		return err
	}
	if err := pack.Start(); err != nil {
		return err
	}
	unpack := box.Command("tar", "xf", "-", "-C", "/bench")
	unpack.Stdin = stdout
	if err := unpack.Run(ctx); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, stdout) // padding that nobody has read
	return pack.Wait()
}

func tarFrom(ctx context.Context, box *boxlite.Box, out string) error {
	unpack := exec.CommandContext(ctx, "tar", "xf", "-", "-C", out)
	stdin, err := unpack.StdinPipe()
	if err != nil {
		return err
	}
	if err := unpack.Start(); err != nil {
		return err
	}
	pack := box.Command("tar", "cf", "-", "-C", "/bench", "tree")
	pack.Stdout = stdin
	if err := pack.Run(ctx); err != nil {
		return err
	}
	if err := stdin.Close(); err != nil {
		return err
	}
	return unpack.Wait()
}
