package boxlite

import "fmt"

// ExitError says that a command ran and ended with another code than 0.
type ExitError struct {
	// Code is the exit code, 1 to 255; 128 + Signal if a signal ended the command.
	Code int
	// Signal is the guest's number of the signal that ended it, or 0.
	Signal int
	// OutOfMemory says that the guest had no memory left, so that its kernel killed
	// the command, or a process that the command waited for.
	OutOfMemory bool
	// Stderr is the end of what it wrote to its standard error, if it was run by
	// [Command.Output] and Stderr was nil.
	Stderr []byte
}

// Error returns "exit code 3", or "ended by SIGKILL", and says so if that was for
// want of memory.
func (e *ExitError) Error() string {
	text := fmt.Sprintf("exit code %d", e.Code)
	if e.Signal != 0 {
		text = "ended by " + signalName(e.Signal)
	}
	if e.OutOfMemory {
		text += ": the box ran out of memory"
	}
	return text
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
