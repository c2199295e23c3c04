package guest

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/boxlite-go/boxlite/internal/guest/container"
	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// keptEnded is how many ended executions are remembered, with what is kept of
// their output, for those who attach to them late.
const keptEnded = 16

// executions holds the commands of the container by ID.
type executions struct {
	ctx     context.Context // ends when the machine shuts down
	clients *tally
	kills   *oomKills
	// counters count for all executions.
	counters counters

	mu        sync.Mutex
	container *container.Container // nil until it is set up
	byID      map[string]*execution
	ended     []string // oldest first
	next      uint64
	closed    bool
	// announced is closed and replaced when an execution is added.
	announced chan struct{}
}

func newExecutions(ctx context.Context) *executions {
	return &executions{
		ctx: ctx, clients: newTally(), kills: &oomKills{events: filepath.Join(containerCgroup, "memory.events")},
		byID: make(map[string]*execution), announced: make(chan struct{}),
	}
}

func (x *executions) open(c *container.Container) {
	x.mu.Lock()
	x.container = c
	x.mu.Unlock()
}

// start runs a process. An empty ID means that one is chosen.
func (x *executions) start(r *boxlitev1.StartRequest) (*execution, error) {
	id, into, err := x.reserve(r.GetId())
	if err != nil {
		return nil, err
	}
	began := time.Now()
	c, err := into.Spawn(processOf(r))
	x.counters.started(err)
	if err != nil {
		x.mu.Lock()
		delete(x.byID, id)
		x.mu.Unlock()
		return nil, err
	}
	e := &execution{
		id: id, request: r, out: newOutput(logDirOf(id)), child: c, stdin: c.Stdin, began: began,
		kills: x.kills, counters: &x.counters,
	}
	e.follow(x.ctx)
	if limit := r.GetProcess().GetTimeoutMillis(); limit > 0 {
		go e.endAfter(time.Duration(min(limit, maxTimeoutMillis)) * time.Millisecond)
	}
	x.mu.Lock()
	x.byID[id] = e
	close(x.announced)
	x.announced = make(chan struct{})
	x.mu.Unlock()
	go x.retire(e)
	return e, nil
}

// maxTimeoutMillis is a hundred years.
const maxTimeoutMillis = 100 * 366 * 24 * 3600 * 1000

// logDirOf returns where an execution keeps what nobody reads. Of the main one, the
// shim reads and keeps all.
func logDirOf(id string) string {
	if id == protocol.MainExecution {
		return ""
	}
	return dirBox
}

func processOf(r *boxlitev1.StartRequest) container.Process {
	p := r.GetProcess()
	return container.Process{
		Args:  protocol.Strings(p.GetArgs()),
		Env:   protocol.Strings(p.GetEnv()),
		Dir:   string(p.GetDir()),
		User:  p.GetUser(),
		TTY:   p.GetTty(),
		Rows:  clampSize(p.GetSize().GetRows()),
		Cols:  clampSize(p.GetSize().GetCols()),
		Stdin: r.GetStdin(),
		Limits: container.Limits{
			MemoryBytes: p.GetLimits().GetMemoryBytes(),
			CPUMillis:   p.GetLimits().GetCpuMillis(),
			PIDs:        p.GetLimits().GetPids(),
		},
	}
}

// reserve finds a free ID and holds it with a nil execution.
func (x *executions) reserve(id string) (string, *container.Container, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.container == nil || x.closed {
		return "", nil, &protocol.Error{
			Kind: protocol.KindInvalidState, Err: fmt.Errorf("the container is not running"),
			Hint: "start the box first",
		}
	}
	if id == "" {
		x.next++
		id = strconv.FormatUint(x.next, 36)
	}
	if _, taken := x.byID[id]; taken {
		return "", nil, &protocol.Error{Kind: protocol.KindAlreadyExists, Err: fmt.Errorf("execution %s exists", id)}
	}
	x.byID[id] = nil
	return id, x.container, nil
}

// retire forgets the oldest ended executions once e has ended too. The main
// one is always remembered.
func (x *executions) retire(e *execution) {
	if _, err := e.out.wait(x.ctx); err != nil || e.id == protocol.MainExecution {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = append(x.ended, e.id)
	if len(x.ended) > keptEnded {
		x.byID[x.ended[0]].out.forget()
		delete(x.byID, x.ended[0])
		x.ended = x.ended[1:]
	}
}

// forgetLogs closes all logs, which are on the box's disk.
func (x *executions) forgetLogs() {
	for _, e := range x.all() {
		e.out.forget()
	}
}

// get returns an execution. The main one is waited for: clients attach to it
// before it starts, so as to miss nothing.
func (x *executions) get(ctx context.Context, id string) (*execution, error) {
	for {
		x.mu.Lock()
		e, announced := x.byID[id], x.announced
		x.mu.Unlock()
		if e != nil {
			return e, nil
		}
		if id != protocol.MainExecution {
			return nil, &protocol.Error{Kind: protocol.KindNotFound, Err: fmt.Errorf("no execution %q", id)}
		}
		select {
		case <-announced:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// end asks all to end: the main one with its stop signal, the others with
// SIGTERM. It waits for them up to grace.
func (x *executions) end(ctx context.Context, stop syscall.Signal, grace time.Duration) {
	x.mu.Lock()
	x.closed = true
	var running []*execution
	for _, e := range x.byID {
		if e != nil {
			running = append(running, e)
		}
	}
	x.mu.Unlock()
	if grace <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	for _, e := range running {
		signal := syscall.SIGTERM
		if e.id == protocol.MainExecution {
			signal = stop
		}
		_ = e.child.Signal(signal) // one that has ended needs none
	}
	for _, e := range running {
		_, _ = e.out.wait(ctx)
	}
}
