package rpc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

func TestErrorSurvivesStatus(t *testing.T) {
	inner := &protocol.Error{Kind: protocol.KindConfig, Hint: "look into /etc/passwd", Err: syscall.ENOENT}
	err := &protocol.Error{Kind: protocol.KindExecution, Op: "run nosuch", Box: "web", Err: fmt.Errorf("find: %w", inner)}
	got := FromStatus(ToStatus(err))
	if !errors.Is(got, protocol.KindExecution) {
		t.Errorf("kind lost: %v", got)
	}
	if !errors.Is(got, fs.ErrNotExist) {
		t.Errorf("system error lost: %v", got)
	}
	if protocol.HintOf(got) != inner.Hint {
		t.Errorf("hint %q, want %q", protocol.HintOf(got), inner.Hint)
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
		{codes.Unavailable, protocol.KindRPCTransport},
		{codes.Unimplemented, protocol.KindUnsupported},
		{codes.Unknown, protocol.KindRPC},
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
