package shim

import "time"

// Usage is what a process on the host uses.
type Usage struct {
	// PID is 0 for a process that does not run.
	PID int
	// CPU is the time that it has computed.
	CPU time.Duration
	// MemoryBytes is its resident memory.
	MemoryBytes uint64
}

// PID is the process ID of the shim.
func (c *Client) PID() int { return c.id.PID }

// UsageOf returns what a process uses. It is errors.ErrUnsupported where the
// system does not tell.
func UsageOf(pid int) (Usage, error) { return usageOf(pid) }
