package protocol

import (
	"errors"
	"strings"
)

// Error is the one error type of BoxLite. Its text is one line: what was tried,
// on which box, and the cause. Hint says what to do about it.
type Error struct {
	Kind Kind
	// Op is what was tried, such as "pull image alpine:3.20".
	Op string
	// Box is the name or ID of the box concerned, or empty.
	Box string
	// Hint is a sentence that tells the user what to do next, or empty.
	Hint string
	// Err is the cause, or nil.
	Err error
}

// Error returns "op: box: cause", leaving out what is empty.
func (e *Error) Error() string {
	parts := make([]string, 0, 3)
	if e.Op != "" {
		parts = append(parts, e.Op)
	}
	if e.Box != "" {
		parts = append(parts, "box "+e.Box)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	if len(parts) == 0 {
		return e.Kind.Error()
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the error's kind.
func (e *Error) Is(target error) bool {
	kind, ok := target.(Kind)
	return ok && kind == e.Kind
}

// KindOf returns the kind of the outermost Error in err, or KindInternal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindInternal
}

// HintOf returns the first hint found in err, or "".
func HintOf(err error) string {
	for err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}
