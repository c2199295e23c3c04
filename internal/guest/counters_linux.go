package guest

import (
	"sync/atomic"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// counters count what goes through the agent, whichever client it is for. The
// zero value is ready.
type counters struct {
	executed, errors, stdinBytes, outputBytes atomic.Uint64
}

// started notes that a command was started, or could not be.
func (c *counters) started(err error) {
	if err != nil {
		c.errors.Add(1)
		return
	}
	c.executed.Add(1)
}

// wrote notes n bytes that a command got on its standard input.
func (c *counters) wrote(n int) { c.stdinBytes.Add(uint64(max(0, n))) }

// read notes n bytes that a command has written.
func (c *counters) read(n int) { c.outputBytes.Add(uint64(max(0, n))) }

func (c *counters) stats() *boxlitev1.CommandStats {
	return &boxlitev1.CommandStats{
		Executed: c.executed.Load(), Errors: c.errors.Load(),
		StdinBytes: c.stdinBytes.Load(), OutputBytes: c.outputBytes.Load(),
	}
}
