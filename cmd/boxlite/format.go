package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// formatFlag adds --format to a command that prints a table, or YAML.
func formatFlag(c *cobra.Command, format *string, fallback string) {
	if fallback == "table" {
		formatsFlag(c, format, "table", "json", "yaml")
		return
	}
	c.Flags().StringVar(format, "format", fallback, "output format: json, yaml")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
}

// formatsFlag adds --format with the formats that a command knows, the first being
// that which it prints if none is given.
func formatsFlag(c *cobra.Command, format *string, formats ...string) {
	c.Flags().StringVar(format, "format", formats[0], "output format: "+strings.Join(formats, ", "))
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

// table is rows of cells; the first holds the headings.
type table [][]string

// write prints v as JSON or YAML, or its table.
func (a *app) write(format string, v any, makeTable func() table) error {
	switch format {
	case "json":
		return writeJSON(a.stdout, v)
	case "yaml":
		return writeYAML(a.stdout, v)
	case "table":
		if makeTable != nil {
			return makeTable().write(a.stdout)
		}
	}
	return unknownFormat(format)
}

func unknownFormat(format string) error {
	return usagef("--format: %q is not a format that this command knows", format)
}

// checkFormat is for commands that do something before they print.
func checkFormat(format string, formats ...string) error {
	if slices.Contains(formats, format) {
		return nil
	}
	return unknownFormat(format)
}

func (t table) write(w io.Writer) error {
	columns := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	for _, row := range t {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cells[i] = printable(cell); cell == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(columns, strings.Join(cells, "\t"))
	}
	return columns.Flush()
}

// printable keeps what images and users have named from moving the cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

// printableLines is printable for a text of several lines.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return strings.Join(lines, "\n")
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// writeYAML prints what JSON prints, with the same names in the same order.
func writeYAML(w io.Writer, v any) error {
	var buf bytes.Buffer
	if err := writeJSON(&buf, v); err != nil {
		return err
	}
	text, err := yaml.JSONToYAML(buf.Bytes())
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// ago says how long ago something was.
func ago(now, then time.Time) string {
	if then.IsZero() {
		return ""
	}
	return span(now.Sub(then)) + " ago"
}

// span is a duration as people say it.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		size time.Duration
		name string
	}{
		{365 * day, "year"},
		{30 * day, "month"},
		{7 * day, "week"},
		{day, "day"},
		{time.Hour, "hour"},
		{time.Minute, "minute"},
		{time.Second, "second"},
	} {
		n := int(d / unit.size)
		switch {
		case n == 1:
			return "1 " + unit.name
		case n > 1:
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return "a moment"
}

// byteCount is a number of bytes as people say it.
func byteCount(n int64) string {
	units := []string{"B", "KB", "MB", "GB", "TB"}
	value, unit := float64(n), 0
	for value >= 1000 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	if unit == 0 || value >= 100 {
		return fmt.Sprintf("%.0f %s", value, units[unit])
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}

// shortDigest is as much of a digest as people read.
func shortDigest(digest string) string {
	_, hex, found := strings.Cut(digest, ":")
	if !found {
		hex = digest
	}
	return hex[:min(12, len(hex))]
}

// shortImage leaves out of a reference what everyone takes for granted.
func shortImage(ref string) string {
	if strings.HasPrefix(ref, "sha256:") {
		return shortDigest(ref)
	}
	if short, ok := strings.CutPrefix(ref, "docker.io/"); ok {
		ref = strings.TrimPrefix(short, "library/")
	}
	name, digest, found := strings.Cut(ref, "@sha256:")
	if found {
		return name + "@" + shortDigest(digest)
	}
	return ref
}
