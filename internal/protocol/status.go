package protocol

import (
	"context"
	"errors"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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
	s := status.New(codeOf(Kind(detail.Kind)), detail.Message)
	if withDetail, e := s.WithDetails(detail); e == nil {
		s = withDetail
	}
	return s.Err()
}

// ToDetail describes err for another process. Every Error in the chain may add
// a field that those outside it leave empty.
func ToDetail(err error) *boxlitev1.ErrorDetail {
	detail := &boxlitev1.ErrorDetail{Message: truncate(err.Error()), Hint: truncate(HintOf(err))}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		detail.Errno = uint32(errno)
	}
	outer, ok := errors.AsType[*Error](err)
	switch {
	case ok:
		detail.Kind, detail.Op, detail.Box = uint32(outer.Kind), outer.Op, outer.Box
		detail.Message = ""
		if outer.Err != nil {
			detail.Message = truncate(outer.Err.Error())
		}
	case errors.Is(err, context.DeadlineExceeded):
		detail.Kind = uint32(KindTimeout)
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
		return &Error{Kind: KindRPCTransport, Err: errors.New(truncate(s.Message()))}
	case codes.Unimplemented:
		return &Error{
			Kind: KindUnsupported, Err: errors.New(truncate(s.Message())),
			Hint: "restart the box, so that it runs the agent of this version",
		}
	default:
		return &Error{Kind: KindRPC, Err: errors.New(truncate(s.Message()))}
	}
}

// FromDetail restores the error that [ToDetail] described.
func FromDetail(detail *boxlitev1.ErrorDetail) error {
	if detail == nil {
		return nil
	}
	kind := Kind(min(detail.Kind, uint32(kindEnd)))
	if kind >= kindEnd {
		kind = KindRPC
	}
	e := &Error{
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
func codeOf(k Kind) codes.Code {
	switch k {
	case KindNotFound:
		return codes.NotFound
	case KindAlreadyExists:
		return codes.AlreadyExists
	case KindInvalidArgument, KindConfig:
		return codes.InvalidArgument
	case KindInvalidState, KindStopped, KindExecution:
		return codes.FailedPrecondition
	case KindUnsupported, KindUnsupportedEngine:
		return codes.Unimplemented
	case KindResourceExhausted:
		return codes.ResourceExhausted
	case KindTimeout:
		return codes.DeadlineExceeded
	default:
		return codes.Internal
	}
}
