package kvm

import (
	"context"
	"errors"
	"os"
	"sync/atomic"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/network/link"
	"github.com/boxlite-go/boxlite/internal/portal"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/child"
	"github.com/boxlite-go/boxlite/internal/vmm/console"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/control"
)

// machine is a running VMM.
type machine struct {
	process *child.Process
	console *console.File
	client  *client
	agent   *agent
	network link.Endpoint // nil without a network card
	killed  atomic.Bool

	done    chan struct{}
	outcome vmm.Outcome // set before done is closed
}

var _ vmm.Machine = (*machine)(nil)

// start starts the VMM and waits until it has set up the machine. With a state, the
// machine goes on from there.
func start(ctx context.Context, spec vmm.Spec, plan jail.Plan, device string, state *os.File) (_ vmm.Machine, err error) {
	c := config(spec)
	if state != nil {
		c.Restore = true
		spec.Kernel, spec.Initrd = os.DevNull, os.DevNull // they are part of the state
	}
	r, err := openResources(spec, device)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	m := &machine{console: r.console, done: make(chan struct{})}
	m.process, err = child.Launch(ctx, plan, confined(spec, r.Inherited, r.LargestDisk))
	if err != nil {
		if _, ok := errors.AsType[*protocol.Error](err); ok {
			return nil, err
		}
		return nil, &protocol.Error{Kind: protocol.KindEngine, Op: opStart, Err: err}
	}
	r.CloseInherited() // so that console and sockets end with the VMM
	m.client = newClient(r.control)
	fd := noFile
	if state != nil {
		fd = int(state.Fd())
	}
	if err := m.client.call(ctx, control.Request{Op: control.OpStart, Config: c}, fd); err != nil {
		_ = m.process.Kill()
		at, exit := m.process.Result()
		m.client.close()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, startError(err, ending{
			exit: exit, at: at, end: m.client.ended(), outOfMemory: m.process.OutOfMemory(), stderr: m.process.Stderr.String(),
		})
	}
	go m.console.Copy(r.output)
	m.agent = greet(m.client, r.greeting, m.process)
	if r.network != nil {
		m.network = link.NewStream(r.network)
	}
	go m.supervise()
	return m, nil
}

// supervise waits for the end, and for all that belongs to the machine.
func (m *machine) supervise() {
	at, exit := m.process.Result()
	<-m.client.done // all that it has said is heard
	m.client.close()
	m.console.Wait()
	m.agent.close()
	m.outcome = ending{
		killed: m.killed.Load(), outOfMemory: m.process.OutOfMemory(), end: m.client.ended(), exit: exit, at: at,
		stderr: m.process.Stderr.String(), console: m.console.Tail(),
	}.outcome()
	close(m.done)
}

// Portal opens streams to the agent; they wait until it answers.
func (m *machine) Portal() portal.Dialer { return m.agent }

// Network carries the frames of the machine's card.
func (m *machine) Network() link.Endpoint { return m.network }

// PID is the VMM's.
func (m *machine) PID() int { return m.process.PID() }

// Wait returns how the machine ended, once it has.
func (m *machine) Wait() vmm.Outcome {
	<-m.done
	return m.outcome
}

// Pause stops the virtual CPUs, and all that the devices do.
func (m *machine) Pause(ctx context.Context) error {
	return m.request(ctx, "pause the machine", control.OpPause, noFile)
}

// Resume lets a paused machine go on.
func (m *machine) Resume(ctx context.Context) error {
	return m.request(ctx, "resume the machine", control.OpResume, noFile)
}

// save writes the machine, which is paused, to a file.
func (m *machine) save(ctx context.Context, file *os.File) error {
	return m.request(ctx, "save the machine", control.OpSave, int(file.Fd()))
}

// request makes a request that has nothing but its name, and perhaps a descriptor.
func (m *machine) request(ctx context.Context, op, request string, fd int) error {
	err := m.client.call(ctx, control.Request{Op: request}, fd)
	switch {
	case errors.Is(err, errGone):
		return child.ErrEnded
	case err == nil || ctx.Err() != nil:
		return err
	}
	return &protocol.Error{Kind: protocol.KindEngine, Op: op, Err: err}
}

// Kill ends the machine at once.
func (m *machine) Kill() error {
	m.killed.Store(true)
	return m.process.Kill()
}
