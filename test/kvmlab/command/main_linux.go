// Command kvmlab runs a command where /dev/kvm works. scripts/kvmlab starts it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/test/kvmlab"
)

// failed is the exit status when there is none of the command.
const failed = 125

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	status, err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kvmlab:", err)
		if hint := protocol.HintOf(err); hint != "" {
			fmt.Fprintln(os.Stderr, "hint:", hint)
		}
		status = failed
	}
	os.Exit(status)
}

func run(ctx context.Context, args []string) (int, error) {
	job := kvmlab.Job{Files: map[string]string{}, Stdout: os.Stdout, Stderr: os.Stderr}
	flags := flag.NewFlagSet("kvmlab", flag.ExitOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: scripts/kvmlab [FLAG...] [FILE | FILE=NAME]... -- COMMAND [ARGUMENT...]")
		flags.PrintDefaults()
	}
	limit := flags.Duration("t", 0, "end after this `time`, such as 5m")
	flags.Func("e", "set a variable in the command's environment, as `NAME=VALUE`", func(s string) error {
		job.Env = append(job.Env, s)
		return nil
	})
	flags.StringVar(&job.Out, "o", "", "put what the command leaves in $LAB/out into this `folder`")
	flags.IntVar(&job.CPUs, "cpus", 0, "the lab's CPUs (default 1; guests fail now and then with more)")
	flags.IntVar(&job.MemoryMiB, "memory", 0, "the lab's memory in MiB (default 3072)")
	flags.BoolVar(&job.Emulate, "emulate", false, "use the lab even where the host's /dev/kvm works")
	console := flags.Bool("v", false, "show what the lab's kernel says")
	if err := flags.Parse(args); err != nil {
		return 0, err
	}
	if *console {
		job.Console = os.Stderr
	}
	if *limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *limit)
		defer cancel()
	}
	rest := flags.Args()
	split := slices.Index(rest, "--")
	// The flag package takes away a "--" that no file comes before.
	if split < 0 && !slices.Contains(args[:len(args)-len(rest)], "--") {
		return 0, fmt.Errorf("no command: it goes behind a --")
	}
	for _, file := range rest[:max(split, 0)] {
		path, name, renamed := strings.Cut(file, "=")
		if !renamed {
			name = filepath.Base(path)
		}
		job.Files[name] = path
	}
	job.Command = rest[split+1:]
	return kvmlab.Run(ctx, job)
}
