package jail

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestProbe(t *testing.T) {
	s, err := Probe(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", s)
}

// TestProbeGivesUpWithItsContext: not even a process that never answers holds it up.
func TestProbeGivesUpWithItsContext(t *testing.T) {
	dir := t.TempDir()
	program, pipe := filepath.Join(dir, "silent"), filepath.Join(dir, "pipe")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho runs >"+pipe+"\nexec sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	runs, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer runs.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = runs.Read(make([]byte, 1))
		cancel()
	}()
	if _, err := Probe(ctx, program); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context was cancelled", err)
	}
}

func BenchmarkProbe(b *testing.B) {
	for b.Loop() {
		if _, err := Probe(b.Context(), ""); err != nil {
			b.Fatal(err)
		}
	}
}
