package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/boxlite-go/boxlite/internal/image"
	"github.com/boxlite-go/boxlite/test/measure"
)

// image measures the way from a tar to a root disk, in a process of its own for
// its memory.
func (b *bench) image(ctx context.Context) error {
	if b.rootfs == "" {
		measure.Row("image → root disk", "-", "no -rootfs given", "≥ 200 MB/s, < 64 MB", false)
		return nil
	}
	info, err := os.Stat(b.rootfs)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var took []time.Duration
	var peak int64
	for range b.runs {
		cmd := exec.CommandContext(ctx, self, "-flatten", b.rootfs)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return err
		}
		seconds, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			return err
		}
		took = append(took, time.Duration(seconds*1e9))
		peak = max(peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss*1024)
	}
	rate := float64(info.Size()) / 1e6 / measure.Median(took).Seconds()
	memory := float64(peak) / 1e6
	measure.Row(fmt.Sprintf("image → root disk, %.0f MB tar", float64(info.Size())/1e6), fmt.Sprintf("%.0f MB/s", rate),
		fmt.Sprintf("peak memory %.0f MB", memory), "≥ 200 MB/s, < 64 MB", rate >= 200 && memory < 64)
	return nil
}

// flattenOnce imports a tar and prints how many seconds the conversion to a root
// disk took.
func flattenOnce(ctx context.Context, rootfs string) error {
	dir, err := os.MkdirTemp("", "boxlite-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	store, err := image.Open(dir, image.Options{})
	if err != nil {
		return err
	}
	img, err := store.Pull(ctx, "rootfs:"+rootfs, image.PullOptions{})
	if err != nil {
		return err
	}
	took, err := measure.Timed(func() error {
		_, err := store.Disk(ctx, img, nil)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Println(took.Seconds())
	return nil
}

// size looks at the binary.
func (b *bench) size(context.Context) error {
	info, err := os.Stat(b.binary)
	if err != nil {
		return err
	}
	size := float64(info.Size()) / 1e6
	measure.Row("`bin/boxlite`", fmt.Sprintf("%.1f MB", size), "-", "≤ 45 MB", size <= 45)
	return nil
}
