package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/boxlite-go/boxlite"
)

// statsInterval is between two readings.
const statsInterval = time.Second

// boxStats is what stats prints of a box: one reading, and what has become of CPU
// time since the one before.
type boxStats struct {
	boxlite.BoxMetrics
	// GuestCPUPercent is nil if the box has not run all the time between.
	GuestCPUPercent *float64 `json:"guestCpuPercent"`
}

func (a *app) statsCommand() *cobra.Command {
	var format string
	var all, stream, noStream bool
	c := &cobra.Command{
		Use:   "stats [flags] [BOX...]",
		Short: "Print what boxes use: CPU, memory, network, disk",
		Long: `Stats prints what boxes use: those that are named, or all that run. On a terminal
it prints a table each second, until Ctrl-C; elsewhere, or with --no-stream, one.
With --stream and the format json, it prints an object a line for each box, each
second.

CPU is what the commands in the box have computed in the last second of the guest's
own clock; 100% is all of one virtual CPU. Memory is theirs, without the cache of
files. The format prometheus is what Prometheus scrapes; see docs/metrics.md.`,
		Example: `  boxlite stats
  boxlite stats --no-stream --format json web
  boxlite stats --format prometheus > /var/lib/node_exporter/boxlite.prom`,
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case !slices.Contains([]string{"table", "json", "yaml", "prometheus"}, format):
				return usagef("--format: %q is not a format that this command knows", format)
			case format == "prometheus" && (len(args) > 0 || stream || all):
				return usagef("--format prometheus is one reading of all boxes: it takes no BOX, --all or --stream")
			case format == "yaml" && stream:
				return usagef("--stream: use --format json, which has an object on each line")
			case all && len(args) > 0:
				return usagef("name the boxes, or use --all")
			}
			fd, tty := terminal(a.stdout)
			if !c.Flags().Changed("stream") {
				stream = tty && format == "table" && !noStream
			}
			return a.withRuntime(func(rt *boxlite.Runtime) error {
				if format == "prometheus" {
					return rt.WritePrometheus(c.Context(), a.stdout)
				}
				s := statsReader{rt: rt, refs: args, all: all}
				if !stream {
					return a.printStats(c.Context(), &s, format)
				}
				if format == "json" {
					return s.each(c.Context(), a.writeStatsLines)
				}
				screen := screen{w: a.stdout, fd: fd, tty: tty}
				defer screen.close()
				return s.each(c.Context(), func(list []boxStats) error { return screen.draw(statsTable(list)) })
			})
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "also print boxes that don't run")
	c.Flags().BoolVar(&stream, "stream", false, "go on, with a reading each second (default on a terminal)")
	c.Flags().BoolVar(&noStream, "no-stream", false, "print one reading only")
	c.Flags().StringVar(&format, "format", "table", "output format: table, json, yaml, prometheus")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(
		[]string{"table", "json", "yaml", "prometheus"}, cobra.ShellCompDirectiveNoFileComp))
	c.MarkFlagsMutuallyExclusive("stream", "no-stream")
	return c
}

// printStats prints one reading.
func (a *app) printStats(ctx context.Context, s *statsReader, format string) error {
	list, err := s.read(ctx)
	if err == nil && slices.ContainsFunc(list, func(b boxStats) bool { return b.Guest != nil }) {
		if err = wait(ctx, statsInterval); err == nil {
			list, err = s.read(ctx)
		}
	}
	if err != nil {
		return err
	}
	return a.write(format, list, func() table { return statsTable(list) })
}

// writeStatsLines prints a line for each box.
func (a *app) writeStatsLines(list []boxStats) error {
	to := json.NewEncoder(a.stdout)
	to.SetEscapeHTML(false)
	for _, b := range list {
		if err := to.Encode(b); err != nil {
			return err
		}
	}
	return nil
}

// statsReader reads the metrics of boxes again and again.
type statsReader struct {
	rt   *boxlite.Runtime
	refs []string // all boxes if there is none
	all  bool     // those that don't run, too

	before map[string]boxlite.BoxMetrics // by ID
}

// each reads each second, until the context or do ends it.
func (s *statsReader) each(ctx context.Context, do func([]boxStats) error) error {
	for {
		list, err := s.read(ctx)
		if err == nil {
			err = do(list)
		}
		if err == nil {
			err = wait(ctx, statsInterval)
		}
		if err != nil {
			return err
		}
	}
}

func (s *statsReader) read(ctx context.Context) ([]boxStats, error) {
	metrics, err := s.metrics(ctx)
	if err != nil {
		return nil, err
	}
	now := make(map[string]boxlite.BoxMetrics)
	list := []boxStats{}
	for _, m := range metrics {
		b := boxStats{BoxMetrics: m}
		if percent, ok := m.CPUPercentSince(s.before[m.ID]); ok {
			b.GuestCPUPercent = &percent
		}
		now[m.ID] = m
		list = append(list, b)
	}
	s.before = now
	return list, nil
}

func (s *statsReader) metrics(ctx context.Context) ([]boxlite.BoxMetrics, error) {
	if len(s.refs) == 0 {
		metrics, err := s.rt.AllMetrics(ctx)
		if s.all || err != nil {
			return metrics, err
		}
		return slices.DeleteFunc(metrics, func(m boxlite.BoxMetrics) bool { return !m.Status.Active() }), nil
	}
	metrics := make([]boxlite.BoxMetrics, len(s.refs))
	g, ctx := errgroup.WithContext(ctx)
	for i, ref := range s.refs {
		g.Go(func() error {
			box, err := s.rt.Get(ctx, ref)
			if err == nil {
				metrics[i], err = box.Metrics(ctx)
			}
			return err
		})
	}
	return metrics, g.Wait()
}

func statsTable(list []boxStats) table {
	t := table{{"ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "DISK I/O", "PIDS"}}
	for _, b := range list {
		row := []string{b.ID, b.Name, "", "", "", "", "", ""}
		if b.GuestCPUPercent != nil {
			row[2] = fmt.Sprintf("%.2f%%", *b.GuestCPUPercent)
		}
		if g := b.Guest; g != nil {
			used := g.Container.Memory - min(g.Container.File, g.Container.Memory)
			row[3] = bytesOf(used) + " / " + bytesOf(g.Memory.Total)
			if g.Memory.Total > 0 {
				row[4] = fmt.Sprintf("%.2f%%", 100*float64(used)/float64(g.Memory.Total))
			}
			row[5] = bytesOf(*b.NetworkBytesReceived) + " / " + bytesOf(*b.NetworkBytesSent)
			var read, written uint64
			for _, d := range g.Disks {
				read, written = read+d.ReadBytes, written+d.WrittenBytes
			}
			row[6] = bytesOf(read) + " / " + bytesOf(written)
			row[7] = fmt.Sprint(g.Container.Processes)
		}
		t = append(t, row)
	}
	return t
}

func bytesOf(n uint64) string { return byteCount(int64(min(n, 1<<62))) }

// wait waits, unless ctx ends before.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// screen draws a table over the one before.
type screen struct {
	w     io.Writer
	fd    int
	tty   bool
	drawn int // lines
}

func (s *screen) draw(t table) error {
	var text bytes.Buffer
	if err := t.write(&text); err != nil {
		return err
	}
	if !s.tty {
		_, err := s.w.Write(text.Bytes())
		return err
	}
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	if width, height, err := term.GetSize(s.fd); err == nil && width > 0 && height > 1 {
		lines = lines[:min(len(lines), height-1)]
		for i, line := range lines {
			if runes := []rune(line); len(runes) > width {
				lines[i] = string(runes[:width])
			}
		}
	}
	const hideCursor, eraseBelow = "\x1b[?25l", "\x1b[J"
	out := hideCursor
	if s.drawn > 0 {
		out += fmt.Sprintf("\x1b[%dA\r", s.drawn)
	}
	s.drawn = len(lines)
	_, err := io.WriteString(s.w, out+eraseBelow+strings.Join(lines, "\n")+"\n")
	return err
}

// close leaves the last table where it is, and shows the cursor again.
func (s *screen) close() {
	if s.tty {
		_, _ = io.WriteString(s.w, "\x1b[?25h")
	}
}
