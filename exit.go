package boxlite

import (
	"errors"
	"fmt"
	"time"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// ErrDetached is what [Command.Wait] returns after [Command.Detach].
var ErrDetached = errors.New("detached from the command, which goes on")

// Usage is what a command has used, with the processes that it has waited for.
type Usage struct {
	UserTime   time.Duration `json:"userNanos"`
	SystemTime time.Duration `json:"systemNanos"`
	// MaxMemoryBytes is the most memory that one of its processes had at a time;
	// with Limits, that all of them had together. Without Limits it is not less than
	// the memory of the box's agent, about 10 MB, from which each process begins.
	MaxMemoryBytes int64 `json:"maxMemoryBytes"`
}

func usageOf(u *boxlitev1.Usage) Usage {
	return Usage{
		UserTime: time.Duration(u.GetUserNanos()), SystemTime: time.Duration(u.GetSystemNanos()),
		MaxMemoryBytes: int64(u.GetMaxMemoryBytes()),
	}
}

// ExitError says that a command ran and ended with another code than 0.
type ExitError struct {
	// Code is the exit code, 0 to 255; 128 + Signal if a signal ended the command.
	Code int `json:"code"`
	// Signal is the guest's number of the signal that ended it, or 0.
	Signal int `json:"signal"`
	// OutOfMemory says that the box, or what Limits left to the command, had no memory
	// left, so that the guest's kernel killed the command, or a process that it waited
	// for.
	OutOfMemory bool `json:"outOfMemory"`
	// TimedOut says that the command was ended because it ran for longer than
	// [Command.Timeout]. Code may be 0 then.
	TimedOut bool `json:"timedOut"`
	// Stderr is the end of what it wrote to its standard error, if it was run by
	// [Command.Output] and Stderr was nil.
	Stderr []byte `json:"stderr,omitempty"`
}

// Error returns "exit code 3", or "ended by SIGKILL", and says so if that was for
// want of memory.
func (e *ExitError) Error() string {
	text := fmt.Sprintf("exit code %d", e.Code)
	if e.Signal != 0 {
		text = "ended by " + signalName(e.Signal)
	}
	if e.OutOfMemory {
		text += ": it ran out of memory"
	}
	if e.TimedOut {
		text += ": it ran for longer than it may"
	}
	return text
}

// Is reports whether target is [ErrTimeout] and the command was ended by its
// timeout.
func (e *ExitError) Is(target error) bool { return e.TimedOut && target == ErrTimeout }

// exitErrorOf returns how a command ended if that was not with code 0, or nil.
func exitErrorOf(s *boxlitev1.ExitStatus) *ExitError {
	if s.GetCode() == 0 && s.GetSignal() == 0 && !s.GetTimedOut() {
		return nil
	}
	return &ExitError{
		Code: int(s.GetCode()), Signal: int(s.GetSignal()),
		OutOfMemory: s.GetOutOfMemory(), TimedOut: s.GetTimedOut(),
	}
}

// keptStderr is how much of standard error an ExitError holds.
const keptStderr = 64 << 10

// tailBuffer keeps the end of what is written to it.
type tailBuffer struct{ data []byte }

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.data = append(t.data, p...)
	if len(t.data) > 2*keptStderr {
		t.data = append(t.data[:0], t.Bytes()...)
	}
	return len(p), nil
}

// Bytes returns what is kept.
func (t *tailBuffer) Bytes() []byte { return t.data[max(0, len(t.data)-keptStderr):] }
