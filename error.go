package boxlite

import "github.com/boxlite-go/boxlite/internal/protocol"

// Error is the type of all errors that this package makes. Its text is one
// line; Hint says what to do about it.
type Error = protocol.Error

// Kind says what sort of thing went wrong. Kinds are used with [errors.Is]:
//
//	errors.Is(err, boxlite.ErrNotFound)
type Kind = protocol.Kind

// The kinds of errors.
const (
	// ErrInternal is a fault of BoxLite itself.
	ErrInternal = protocol.KindInternal
	// ErrUnsupportedEngine means that no engine can run a box on this host.
	ErrUnsupportedEngine = protocol.KindUnsupportedEngine
	// ErrEngine means that the virtual machine could not start, or failed.
	ErrEngine = protocol.KindEngine
	// ErrStorage means that a file or disk of the home could not be read or written.
	ErrStorage = protocol.KindStorage
	// ErrImage means that an image could not be found, fetched, read or converted.
	ErrImage = protocol.KindImage
	// ErrPortal means that the channel between host and guest failed.
	ErrPortal = protocol.KindPortal
	// ErrNetwork means that a network operation failed.
	ErrNetwork = protocol.KindNetwork
	// ErrRPC means that a call to the box was answered with an error that has no
	// kind of its own.
	ErrRPC = protocol.KindRPC
	// ErrRPCTransport means that a call to the box got no answer.
	ErrRPCTransport = protocol.KindRPCTransport
	// ErrExecution means that a command could not be run.
	ErrExecution = protocol.KindExecution
	// ErrConfig means that an option or configuration file is wrong.
	ErrConfig = protocol.KindConfig
	// ErrNotFound means that no such box, image or command exists.
	ErrNotFound = protocol.KindNotFound
	// ErrAlreadyExists means that the name is taken.
	ErrAlreadyExists = protocol.KindAlreadyExists
	// ErrInvalidState means that the box can't do this in its present state.
	ErrInvalidState = protocol.KindInvalidState
	// ErrInvalidArgument means that the caller asked for something that can't be.
	ErrInvalidArgument = protocol.KindInvalidArgument
	// ErrUnsupported means that this is not available here, or not yet.
	ErrUnsupported = protocol.KindUnsupported
	// ErrStopped means that the box or the Runtime has been stopped or closed.
	ErrStopped = protocol.KindStopped
	// ErrResourceExhausted means that a limit was reached, or the disk is full.
	ErrResourceExhausted = protocol.KindResourceExhausted
	// ErrTimeout means that something took longer than it may.
	ErrTimeout = protocol.KindTimeout
)

// HintOf returns the sentence in err that says what to do about it, or "".
func HintOf(err error) string { return protocol.HintOf(err) }

func invalid(op, hint string, err error) error {
	return &Error{Kind: ErrInvalidArgument, Op: op, Hint: hint, Err: err}
}
