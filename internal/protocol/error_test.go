package protocol

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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

func TestErrorSurvivesStatus(t *testing.T) {
	inner := &Error{Kind: KindConfig, Hint: "look into /etc/passwd", Err: syscall.ENOENT}
	err := &Error{Kind: KindExecution, Op: "run nosuch", Box: "web", Err: fmt.Errorf("find: %w", inner)}
	got := FromStatus(ToStatus(err))
	if !errors.Is(got, KindExecution) {
		t.Errorf("kind lost: %v", got)
	}
	if !errors.Is(got, fs.ErrNotExist) {
		t.Errorf("system error lost: %v", got)
	}
	if HintOf(got) != inner.Hint {
		t.Errorf("hint %q, want %q", HintOf(got), inner.Hint)
	}
	if got.Error() != err.Error() {
		t.Errorf("text %q, want %q", got, err)
	}
}

func TestStatusWithoutDetail(t *testing.T) {
	for _, test := range []struct {
		code codes.Code
		want error
	}{
		{codes.Unavailable, KindRPCTransport},
		{codes.Unimplemented, KindUnsupported},
		{codes.Unknown, KindRPC},
		{codes.Canceled, context.Canceled},
		{codes.DeadlineExceeded, context.DeadlineExceeded},
	} {
		if err := FromStatus(status.Error(test.code, "text")); !errors.Is(err, test.want) {
			t.Errorf("%v becomes %v, want %v", test.code, err, test.want)
		}
	}
	if FromStatus(nil) != nil || ToStatus(nil) != nil {
		t.Error("nil does not stay nil")
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
