package protocol

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestErrorIsItsKind(t *testing.T) {
	err := fmt.Errorf("outer: %w", &Error{Kind: KindImage, Op: "pull image x", Err: context.DeadlineExceeded})
	if !errors.Is(err, KindImage) {
		t.Error("errors.Is does not find the kind")
	}
	if errors.Is(err, KindEngine) {
		t.Error("errors.Is finds another kind")
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error("errors.Is does not find the cause")
	}
	if got, want := err.Error(), "outer: pull image x: context deadline exceeded"; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
}

func TestKindsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for k := Kind(0); k < kindEnd; k++ {
		if k.String() == "" || seen[k.String()] {
			t.Errorf("kind %d has no name of its own: %q", uint8(k), k)
		}
		seen[k.String()] = true
	}
}
