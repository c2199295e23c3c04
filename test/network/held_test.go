//go:build linux

package network

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite"
)

// held is a program in the box that tells in lines what happens to it.
type held struct {
	command *boxlite.Command
	stdin   io.WriteCloser
	lines   *bufio.Reader
}

// startProgram starts the client in the box, and waits for its first line.
func startProgram(t *testing.T, box *boxlite.Box, first string, args ...string) *held {
	t.Helper()
	c := box.Command("hostile", args...)
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := &held{c, stdin, bufio.NewReader(stdout)}
	if got := h.line(t); got != first {
		t.Fatalf("hostile %q: %q", args, got)
	}
	return h
}

// holdConnection makes a connection that works, and keeps it.
func holdConnection(t *testing.T, box *boxlite.Box, addr, send string) *held {
	t.Helper()
	return startProgram(t, box, "held", "hold", addr, send)
}

// serveInBox has something listen in the box, for TCP and UDP.
func serveInBox(t *testing.T, box *boxlite.Box, port string) *held {
	t.Helper()
	return startProgram(t, box, "listening", "serve", port)
}

// line is the next line that the program writes.
func (h *held) line(t *testing.T) string {
	t.Helper()
	line, err := h.lines.ReadString('\n')
	if err != nil && line == "" {
		t.Errorf("the program wrote nothing more: %v", err)
	}
	return strings.TrimSpace(line)
}

// end ends the connection that the program holds.
func (h *held) end(t *testing.T) {
	t.Helper()
	if err := h.stdin.Close(); err != nil {
		t.Error(err)
	}
}
