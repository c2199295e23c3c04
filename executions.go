package boxlite

import (
	"context"
	"time"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// Execution describes a command that runs in a box, or has run.
type Execution struct {
	// ID is what [Box.AttachExecution] takes; "main" is the main process.
	ID string `json:"id"`
	// PID is its process ID in the box.
	PID int `json:"pid"`
	// Args is the command; one that is very long is cut, with "…" at its end.
	Args []string `json:"args"`
	// User is who runs it, as was asked for; empty is the box's.
	User string `json:"user"`
	TTY  bool   `json:"tty"`
	// Stdin says whether its standard input can be written.
	Stdin     bool      `json:"stdin"`
	StartedAt time.Time `json:"startedAt"`
	// EndedAt, Exit and Usage tell of its end; EndedAt is nil while it runs, Exit nil
	// as long, or if it ended with code 0.
	EndedAt *time.Time `json:"endedAt"`
	Exit    *ExitError `json:"exit"`
	Usage   Usage      `json:"usage"`
	// StdoutBytes and StderrBytes are what it has written.
	StdoutBytes int64 `json:"stdoutBytes"`
	StderrBytes int64 `json:"stderrBytes"`
	// Attached is how many are attached to it: programs, or the log of the main
	// process.
	Attached int `json:"attached"`
	// Processes, MemoryBytes and CPUTime are of the processes in its session, while
	// it runs: what they have in memory now, and have used of CPU time.
	Processes   int           `json:"processes"`
	MemoryBytes int64         `json:"memoryBytes"`
	CPUTime     time.Duration `json:"cpuNanos"`
}

// Running reports whether the command has yet to end.
func (e Execution) Running() bool { return e.EndedAt == nil }

// Executions returns the commands that run in the box, and the last 16 that have
// ended, in the order they started. A box that does not run has none.
func (b *Box) Executions(ctx context.Context) ([]Execution, error) {
	r, err := b.present(ctx)
	if r == nil || err != nil {
		return []Execution{}, err
	}
	list, err := r.executions(ctx)
	if err != nil {
		return nil, &Error{
			Kind: kindOfCause(err), Op: "list the commands", Box: b.config.Label(), Hint: HintOf(err), Err: err,
		}
	}
	return list, nil
}

func (r *run) executions(ctx context.Context) ([]Execution, error) {
	response, err := boxlitev1.NewExecutionClient(r.client.Guest()).List(ctx, &boxlitev1.ListRequest{})
	if err != nil {
		return nil, rpc.FromStatus(err)
	}
	list := make([]Execution, 0, len(response.GetExecutions()))
	for _, e := range response.GetExecutions() {
		list = append(list, executionOf(e))
	}
	return list, nil
}

func executionOf(e *boxlitev1.ExecutionInfo) Execution {
	x := Execution{
		ID: e.GetId(), PID: int(e.GetPid()), Args: e.GetArgs(), User: e.GetUser(), TTY: e.GetTty(), Stdin: e.GetStdin(),
		StartedAt: time.Unix(0, e.GetStartedNanos()).UTC(), StdoutBytes: int64(e.GetStdoutBytes()), StderrBytes: int64(e.GetStderrBytes()),
		Attached: int(e.GetAttached()), Processes: int(e.GetProcesses()),
		MemoryBytes: int64(e.GetMemoryBytes()), CPUTime: time.Duration(e.GetCpuNanos()),
	}
	if exited := e.GetExited(); exited != nil {
		at := time.Unix(0, e.GetEndedNanos()).UTC()
		x.EndedAt, x.Exit, x.Usage = &at, exitErrorOf(exited), usageOf(exited.GetUsage())
	}
	return x
}

// PID returns the command's process ID in the box, or 0 before Start.
func (c *Command) PID() int {
	if a := c.started(); a != nil {
		return a.pid
	}
	return 0
}

// Usage returns what the command has used. It is zero until Wait has returned.
func (c *Command) Usage() Usage {
	a := c.started()
	if a == nil {
		return Usage{}
	}
	select {
	case <-a.done:
		return usageOf(a.status.GetUsage())
	default:
		return Usage{}
	}
}

// Skipped returns how many bytes of the output, between the offsets that were asked
// for and the first bytes that came, are no longer kept. It may be called once Wait
// has returned.
func (c *Command) Skipped() (stdout, stderr int64) {
	a := c.started()
	if a == nil {
		return 0, 0
	}
	<-a.done
	return a.outputs[0].skipped, a.outputs[1].skipped
}

// Detach leaves a command that has been started: it goes on, whatever becomes of
// this program and of the context of Start. Wait returns [ErrDetached], unless the
// command has just ended. [Box.AttachExecution] joins it again.
func (c *Command) Detach() error {
	a, err := c.attached("detach from a command")
	if err != nil {
		return err
	}
	a.detach()
	return nil
}
