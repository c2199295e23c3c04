package image

import (
	"context"
	"errors"

	"github.com/boxlite-go/boxlite/internal/image/flatten"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// fail says what was tried, and gives err a kind if it has none: that of a full
// disk or an ended context if it is one, and otherwise the given one.
func fail(op string, kind protocol.Kind, err error) error {
	if err == nil {
		return nil
	}
	e := &protocol.Error{Kind: kind, Op: op, Err: err}
	inner, ok := errors.AsType[*protocol.Error](err)
	switch {
	case ok:
		e.Kind = inner.Kind
	case errors.Is(err, context.DeadlineExceeded):
		e.Kind = protocol.KindTimeout
	case errors.Is(err, context.Canceled):
		e.Kind = protocol.KindStopped
	case flatten.DiskFull(err):
		e.Kind = protocol.KindResourceExhausted
		e.Hint = "the disk is full; free some space on the disk that holds BoxLite's home, or remove images that you no longer need"
	}
	return e
}

// invalid is an error in what a registry or file holds.
func invalid(err error, hint string) error {
	return &protocol.Error{Kind: protocol.KindImage, Err: err, Hint: hint}
}
