package protocol

import "fmt"

// Kind says what sort of thing went wrong. It is an error itself, so that
// errors.Is(err, KindImage) finds it in any error of this kind.
type Kind uint8

// The kinds of errors. Their numbers travel between processes: add new ones at
// the end.
const (
	// KindInternal is a fault of BoxLite itself.
	KindInternal Kind = iota
	// KindUnsupportedEngine means that no engine can run a box on this host.
	KindUnsupportedEngine
	// KindEngine means that the virtual machine could not start, or failed.
	KindEngine
	// KindStorage means that a file or disk of the home could not be read or written.
	KindStorage
	// KindImage means that an image could not be found, fetched, read or converted.
	KindImage
	// KindPortal means that the channel between host and guest failed.
	KindPortal
	// KindNetwork means that a network operation failed.
	KindNetwork
	// KindRPC means that a call was answered with an error that has no kind of its own.
	KindRPC
	// KindRPCTransport means that a call got no answer.
	KindRPCTransport
	// KindExecution means that a command could not be run.
	KindExecution
	// KindConfig means that an option or configuration file is wrong.
	KindConfig
	// KindNotFound means that no such box, image or execution exists.
	KindNotFound
	// KindAlreadyExists means that the name is taken.
	KindAlreadyExists
	// KindInvalidState means that the box can't do this in its present state.
	KindInvalidState
	// KindInvalidArgument means that the caller asked for something that can't be.
	KindInvalidArgument
	// KindUnsupported means that this is not available here, or not yet.
	KindUnsupported
	// KindStopped means that the box or the runtime has been stopped or closed.
	KindStopped
	// KindResourceExhausted means that a limit was reached, or the disk is full.
	KindResourceExhausted
	// KindTimeout means that something took longer than it may.
	KindTimeout
	kindEnd
)

// KindNumbered returns the kind that has a number, if there is one.
func KindNumbered(number uint32) (Kind, bool) { return Kind(number), number < uint32(kindEnd) }

var kindNames = [kindEnd]string{
	KindInternal:          "internal",
	KindUnsupportedEngine: "unsupported engine",
	KindEngine:            "engine",
	KindStorage:           "storage",
	KindImage:             "image",
	KindPortal:            "portal",
	KindNetwork:           "network",
	KindRPC:               "rpc",
	KindRPCTransport:      "rpc transport",
	KindExecution:         "execution",
	KindConfig:            "config",
	KindNotFound:          "not found",
	KindAlreadyExists:     "already exists",
	KindInvalidState:      "invalid state",
	KindInvalidArgument:   "invalid argument",
	KindUnsupported:       "unsupported",
	KindStopped:           "stopped",
	KindResourceExhausted: "resource exhausted",
	KindTimeout:           "timeout",
}

// String returns the kind's name, such as "image".
func (k Kind) String() string {
	if k < kindEnd {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error makes a Kind usable as the target of errors.Is.
func (k Kind) Error() string { return k.String() + " error" }
