// Package rpc carries errors over gRPC. It is apart from package protocol because
// processes that make no calls need none of gRPC.
package rpc

import (
	"context"
	"errors"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// maxMessage bounds the texts that are taken over from another process.
const maxMessage = 4096

// ToStatus turns err into a gRPC status error that carries its kind, hint and
// system error to the other side, where [FromStatus] restores them. It returns
// nil for nil.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	detail := ToDetail(err)
	s := status.New(codeOf(protocol.Kind(detail.Kind)), detail.Message)
	if withDetail, e := s.WithDetails(detail); e == nil {
		s = withDetail
	}
	return s.Err()
}

// ToDetail describes err for another process. Every protocol.Error in the chain may add
// a field that those outside it leave empty.
func ToDetail(err error) *boxlitev1.ErrorDetail {
	detail := &boxlitev1.ErrorDetail{Message: truncate(err.Error()), Hint: truncate(protocol.HintOf(err))}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		detail.Errno = uint32(errno)
	}
	outer, ok := errors.AsType[*protocol.Error](err)
	switch {
	case ok:
		detail.Kind, detail.Op, detail.Box = uint32(outer.Kind), outer.Op, outer.Box
		detail.Message = ""
		if outer.Err != nil {
			detail.Message = truncate(outer.Err.Error())
		}
	case errors.Is(err, context.DeadlineExceeded):
		detail.Kind = uint32(protocol.KindTimeout)
	}
	return detail
}

// FromStatus restores the error that [ToStatus] sent. A status without detail
// comes from gRPC itself: a lost connection is of kind RPCTransport, an ended
// context its own error, anything else of kind RPC.
func FromStatus(err error) error {
	if err == nil {
		return nil
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	for _, d := range s.Details() {
		if detail, ok := d.(*boxlitev1.ErrorDetail); ok {
			return FromDetail(detail)
		}
	}
	switch s.Code() {
	case codes.Canceled:
		return context.Canceled
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded
	case codes.Unavailable:
		return &protocol.Error{Kind: protocol.KindRPCTransport, Err: errors.New(truncate(s.Message()))}
	case codes.Unimplemented:
		return &protocol.Error{
			Kind: protocol.KindUnsupported, Err: errors.New(truncate(s.Message())),
			Hint: "restart the box, so that it runs the agent of this version",
		}
	default:
		return &protocol.Error{Kind: protocol.KindRPC, Err: errors.New(truncate(s.Message()))}
	}
}

// FromDetail restores the error that [ToDetail] described.
func FromDetail(detail *boxlitev1.ErrorDetail) error {
	if detail == nil {
		return nil
	}
	kind, ok := protocol.KindNumbered(detail.Kind)
	if !ok {
		kind = protocol.KindRPC
	}
	e := &protocol.Error{
		Kind: kind, Op: truncate(detail.Op), Box: truncate(detail.Box), Hint: truncate(detail.Hint),
	}
	if detail.Message != "" {
		e.Err = &remoteError{message: truncate(detail.Message), errno: syscall.Errno(detail.Errno)}
	}
	return e
}

// remoteError is a cause that was met in another process: its text, and the
// system error that errors.Is can find in it.
type remoteError struct {
	message string
	errno   syscall.Errno
}

func (e *remoteError) Error() string { return e.message }

func (e *remoteError) Unwrap() error {
	if e.errno == 0 {
		return nil
	}
	return e.errno
}

func truncate(s string) string {
	if len(s) > maxMessage {
		return s[:maxMessage]
	}
	return s
}

// codeOf gives the gRPC code that comes nearest to a kind, for clients that
// know nothing of ErrorDetail.
func codeOf(k protocol.Kind) codes.Code {
	switch k {
	case protocol.KindNotFound:
		return codes.NotFound
	case protocol.KindAlreadyExists:
		return codes.AlreadyExists
	case protocol.KindInvalidArgument, protocol.KindConfig:
		return codes.InvalidArgument
	case protocol.KindInvalidState, protocol.KindStopped, protocol.KindExecution:
		return codes.FailedPrecondition
	case protocol.KindUnsupported, protocol.KindUnsupportedEngine:
		return codes.Unimplemented
	case protocol.KindResourceExhausted:
		return codes.ResourceExhausted
	case protocol.KindTimeout:
		return codes.DeadlineExceeded
	default:
		return codes.Internal
	}
}
