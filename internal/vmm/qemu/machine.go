package qemu

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/network/link"
	"github.com/boxlite-go/boxlite/internal/portal"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/child"
	"github.com/boxlite-go/boxlite/internal/vmm/console"
	"github.com/boxlite-go/boxlite/internal/vmm/qemu/qmp"
)

// machine is a running QEMU.
type machine struct {
	process *child.Process
	console *console.File
	agent   *agent
	network link.Endpoint // nil without a network card
	control *qmp.Client
	killed  atomic.Bool

	mu    sync.Mutex
	cause string // of the shutdown, from QMP

	done    chan struct{}
	outcome vmm.Outcome // set before done is closed
}

var _ vmm.Machine = (*machine)(nil)

// start starts QEMU and waits until it has set up the machine.
func start(ctx context.Context, spec vmm.Spec, c vmm.Capability, plan jail.Plan) (_ vmm.Machine, err error) {
	r, err := openResources(spec)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	m := &machine{console: r.console, done: make(chan struct{})}
	m.process, err = child.Launch(ctx, plan, confined(spec, c, r))
	if err != nil {
		if _, ok := errors.AsType[*protocol.Error](err); ok {
			return nil, err
		}
		return nil, &protocol.Error{
			Kind: protocol.KindEngine, Op: "start QEMU", Err: err,
			Hint: "it was there when this host was probed: " + installHint(),
		}
	}
	r.CloseInherited() // so that the console ends with QEMU
	control, err := qmp.New(ctx, r.control, m.handle)
	if err != nil {
		_ = m.process.Kill()
		_, exit := m.process.Result()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, startError(c.Program, ending{err: exit, stderr: m.process.Stderr.String()})
	}
	go m.console.Copy(r.output)
	m.agent = greet(r.portal, m.process)
	if r.network != nil {
		m.network = link.NewStream(r.network)
	}
	m.control = control
	go m.supervise()
	return m, nil
}

// handle takes an event of QMP.
func (m *machine) handle(e qmp.Event) {
	if cause, ok := shutdownCause(e); ok {
		m.mu.Lock()
		m.cause = cause
		m.mu.Unlock()
	}
}

// supervise waits for the end, and for all that belongs to the machine.
func (m *machine) supervise() {
	<-m.process.Exited()
	<-m.control.Done()
	_ = m.control.Close()
	m.console.Wait()
	m.agent.close()
	at, err := m.process.Result()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.outcome = ending{
		killed: m.killed.Load(), cause: m.cause, err: err, at: at,
		outOfMemory: m.process.OutOfMemory(),
		stderr:      m.process.Stderr.String(), console: m.console.Tail(),
	}.outcome()
	close(m.done)
}

// Portal opens streams to the agent; they wait until it answers.
func (m *machine) Portal() portal.Dialer { return m.agent }

// Network carries the frames of the machine's card.
func (m *machine) Network() link.Endpoint { return m.network }

// PID is QEMU's.
func (m *machine) PID() int { return m.process.PID() }

// Wait returns how the machine ended, once it has.
func (m *machine) Wait() vmm.Outcome {
	<-m.done
	return m.outcome
}

// Pause stops the virtual CPUs, and all that the devices do.
func (m *machine) Pause(ctx context.Context) error {
	return m.execute(ctx, "pause the machine", "stop")
}

// Resume lets a paused machine go on.
func (m *machine) Resume(ctx context.Context) error {
	return m.execute(ctx, "resume the machine", "cont")
}

// execute has QEMU execute a command that has neither arguments nor an answer.
func (m *machine) execute(ctx context.Context, op, command string) error {
	err := m.control.Execute(ctx, command, nil, nil)
	if err == nil || ctx.Err() != nil {
		return err
	}
	select {
	case <-m.process.Exited():
		return child.ErrEnded
	default:
		return &protocol.Error{Kind: protocol.KindEngine, Op: op, Err: err}
	}
}

// Kill ends the machine at once.
func (m *machine) Kill() error {
	m.killed.Store(true)
	return m.process.Kill()
}

// agent is the way to the agent.
type agent struct {
	session  *portal.Session // once the greeting is over, if nothing failed
	greeting *child.Greeting
}

// greet exchanges greetings in the background.
func greet(conn net.Conn, process *child.Process) *agent {
	a := &agent{}
	a.greeting = process.Greet(func(ctx context.Context) (err error) {
		a.session, err = portal.Client(ctx, conn)
		return err
	})
	return a
}

// Dial opens a stream to a port of the guest, as soon as its agent has answered.
func (a *agent) Dial(ctx context.Context, port uint32) (net.Conn, error) {
	if err := a.greeting.Wait(ctx); err != nil {
		return nil, err
	}
	conn, err := a.session.Dial(ctx, port)
	if err != nil {
		select {
		case <-a.session.Done():
			err = child.ErrEnded
		default:
		}
	}
	return conn, err
}

// close ends the session, once QEMU has exited.
func (a *agent) close() {
	_ = a.greeting.Wait(context.Background()) // whatever came of it
	if a.session != nil {
		_ = a.session.Close()
	}
}
