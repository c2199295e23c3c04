package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/boxlite-go/boxlite"
)

var (
	update = flag.Bool("update", false, "write docs/cli anew")
	man    = flag.String("man", "", "write man pages to this folder")
)

// docsFolder is where the pages are, from this folder.
const docsFolder = "../../docs/cli"

// documented returns the commands that have a page, root first.
func documented(t *testing.T) []*cobra.Command {
	t.Helper()
	t.Setenv("BOXLITE_CONFIG", "") // a default that help shows
	a := newApp(strings.NewReader(""), io.Discard, io.Discard)
	t.Cleanup(a.stopSignals)
	root := a.rootCommand()
	root.DisableAutoGenTag = true
	var all []*cobra.Command
	var add func(*cobra.Command)
	add = func(c *cobra.Command) {
		c.InitDefaultHelpFlag()
		all = append(all, c)
		subs := slices.Clone(c.Commands())
		slices.SortFunc(subs, func(a, b *cobra.Command) int { return cmp.Compare(a.Name(), b.Name()) })
		for _, sub := range subs {
			if sub.IsAvailableCommand() && !sub.IsAdditionalHelpTopicCommand() && !sub.Hidden {
				add(sub)
			}
		}
	}
	add(root)
	return all
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "_") + ".md" }

// index is the page that lists all others, by the groups of help.
func index(commands []*cobra.Command) []byte {
	var b bytes.Buffer
	root := commands[0]
	fmt.Fprintf(&b, "# The boxlite command\n\n%s\n\nFlags that all commands have are on the page of [boxlite](boxlite.md). Exit codes: 0; 1 for an error, 2 for wrong usage; those of a command in a box are passed on, 128 + N if signal N ended it, 126 and 127 if it could not be run.\n", root.Long)
	for _, g := range root.Groups() {
		fmt.Fprintf(&b, "\n## %s\n\n| command | |\n|---|---|\n", strings.TrimSuffix(g.Title, ":"))
		for _, c := range commands[1:] {
			top := c
			for top.Parent() != root {
				top = top.Parent()
			}
			if top.GroupID == g.ID {
				fmt.Fprintf(&b, "| [%s](%s) | %s |\n", c.CommandPath(), pageName(c), c.Short)
			}
		}
	}
	return b.Bytes()
}

// pages returns all of docs/cli by file name.
func pages(t *testing.T) map[string][]byte {
	t.Helper()
	commands := documented(t)
	all := map[string][]byte{"README.md": index(commands)}
	for _, c := range commands {
		var b bytes.Buffer
		if err := doc.GenMarkdown(c, &b); err != nil {
			t.Fatal(err)
		}
		all[pageName(c)] = b.Bytes()
	}
	return all
}

// TestDocsAreCurrent: docs/cli is what the commands say of themselves.
func TestDocsAreCurrent(t *testing.T) {
	want := pages(t)
	if *update {
		if err := errors.Join(os.RemoveAll(docsFolder), os.MkdirAll(docsFolder, 0o755)); err != nil {
			t.Fatal(err)
		}
		for name, text := range want {
			if err := os.WriteFile(filepath.Join(docsFolder, name), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := os.ReadDir(docsFolder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, ok := want[f.Name()]; !ok {
			t.Errorf("docs/cli/%s is of no command: run make docs", f.Name())
		}
	}
	for name, text := range want {
		if got, err := os.ReadFile(filepath.Join(docsFolder, name)); err != nil || !bytes.Equal(got, text) {
			t.Errorf("docs/cli/%s is not what the commands say: run make docs (%v)", name, err)
		}
	}
}

// TestManPages writes a man page for each command, where -man says.
func TestManPages(t *testing.T) {
	dir := cmp.Or(*man, t.TempDir())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range documented(t) {
		var b bytes.Buffer
		header := &doc.GenManHeader{Section: "1", Source: "boxlite " + boxlite.Version, Manual: "BoxLite"}
		if err := doc.GenMan(c, header, &b); err != nil {
			t.Fatal(err)
		}
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(b.Bytes(), []byte(c.Short)) || !bytes.Contains(b.Bytes(), []byte(".SH SYNOPSIS")) {
			t.Errorf("%s is not the page of %s", name, c.CommandPath())
		}
	}
}

// TestCommandsExplainThemselves: every command has what help is made of.
func TestCommandsExplainThemselves(t *testing.T) {
	for _, c := range documented(t) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: its short description is %q", c.CommandPath(), c.Short)
		}
		if c.HasParent() && !c.Parent().HasParent() && c.GroupID == "" && c.Name() != "help" {
			t.Errorf("%s is in no group", c.CommandPath())
		}
	}
}
