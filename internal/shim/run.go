package shim

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/boxlite-go/boxlite/internal/audit"
	"github.com/boxlite-go/boxlite/internal/network"
	"github.com/boxlite-go/boxlite/internal/portal"
	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
	"github.com/boxlite-go/boxlite/internal/stage"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/engines"
)

// shutdownMargin is what the guest gets, beyond the grace of its processes, to
// write everything to its disks. After it the machine is ended at once.
const shutdownMargin = 20 * time.Second

// process is a shim at work.
type process struct {
	spec Spec
	log  *slog.Logger

	control, streams *net.UnixListener

	pausing sync.Mutex  // held while the machine is paused or resumed, and by its end
	paused  atomic.Bool // changed while pausing is held

	detached atomic.Bool // whether the box outlives the process that started it

	health *healthMonitor // nil without a health check

	denials *audit.Log // what the network's policy has refused

	mu      sync.Mutex
	stage   string
	stages  []*boxlitev1.Stage
	guest   *grpc.ClientConn
	machine vmm.Machine
	network *network.Network // nil if the box has none
	kernel  string
	main    string // execution ID of the main process, if there is one
	err     error  // why the start failed
	ending  *boxlitev1.ExitRecord

	ready     chan struct{} // closed when the container runs, or the start failed
	endedOnce sync.Once
	end       chan struct{} // closed when the run is to end, however
	grace     time.Duration
	force     bool
	killed    atomic.Bool   // the machine was ended by force, whatever it was doing
	ended     chan struct{} // closed when all is over and written
}

func newProcess(spec Spec, log *slog.Logger) (*process, error) {
	p := &process{
		spec: spec, log: log, stage: "shim",
		ready: make(chan struct{}), end: make(chan struct{}), ended: make(chan struct{}),
	}
	p.detached.Store(spec.Detached)
	p.denials = audit.OfBox(filepath.Join(spec.Dir, dirLogs))
	p.health = p.newHealthMonitor()
	var err error
	if p.control, err = listenUnix(spec.Dir, fileSocket); err != nil {
		return nil, err
	}
	if p.streams, err = listenUnix(spec.Dir, filePortal); err != nil {
		return nil, err
	}
	stage.Reached("shim/listening", spec.BoxID)
	return p, nil
}

// run is the whole life of a box's run: start, wait for its end, clean up.
func (p *process) run(ctx context.Context) {
	server := grpc.NewServer()
	boxlitev1.RegisterShimServer(server, &service{process: p})
	control := &unusedConns{Listener: p.control}
	go func() { _ = server.Serve(control) }() // ends with GracefulStop
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	jumps := watchClock(ctx)
	err := p.start(ctx)
	p.mu.Lock()
	p.err = err
	p.mu.Unlock()
	if err != nil {
		p.log.Error("start", "error", err)
		p.finish(&boxlitev1.ExitRecord{Reason: ReasonFailed, Error: rpc.ToDetail(err)}, 0, true)
	} else {
		go p.watchMachine()
		go p.keepTime(ctx, jumps)
		go p.watchHealth(ctx)
	}
	close(p.ready)

	<-p.end
	stage.Reached("shim/stopping", p.spec.BoxID)
	p.shutDown(ctx)
	stage.Reached("shim/machine-ended", p.spec.BoxID)
	if err := writeExit(p.spec.Dir, p.ending); err != nil {
		p.log.Error("write the exit record", "error", err)
	}
	stage.Reached("shim/recorded", p.spec.BoxID)
	close(p.ended)
	// Answers under way are finished. One who holds a connection without using it
	// is not waited for, nor one who does not take an answer.
	control.closeUnused()
	late := time.AfterFunc(time.Second, server.Stop)
	server.GracefulStop()
	late.Stop()
	stage.Reached("shim/leaving", p.spec.BoxID)
	// The identity goes last: until then, nobody else starts the box.
	if err := removeAll(p.spec.Dir, fileSocket, filePortal, fileIdentity); err != nil {
		p.log.Error(err.Error())
	}
}

// start brings the box to where its main process runs, stage by stage.
func (p *process) start(ctx context.Context) error {
	startCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-p.end:
			cancel(&protocol.Error{Kind: protocol.KindStopped, Err: errors.New("the box was stopped while it started")})
		case <-startCtx.Done():
		}
	}()
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"network", p.startNetwork},
		{"vmm", p.startMachine},
		{"kernel", p.awaitAgent},
		{"agent", p.initGuest},
		{"container", p.initContainer},
	} {
		p.mu.Lock()
		p.stage = step.name
		p.mu.Unlock()
		began := time.Now()
		if err := step.do(startCtx); err != nil {
			if cause := context.Cause(startCtx); cause != nil {
				err = cause
			}
			err = p.rootCause(err)
			return &protocol.Error{
				Kind: protocol.KindOf(err), Op: "start the box, stage " + step.name, Box: p.spec.BoxID, Err: err,
			}
		}
		stage.Reached("shim/"+step.name, p.spec.BoxID)
		p.mu.Lock()
		p.stages = append(p.stages, &boxlitev1.Stage{
			Name: step.name, StartUnixNanos: began.UnixNano(), Nanos: int64(time.Since(began)),
		})
		p.mu.Unlock()
	}
	p.mu.Lock()
	p.stage = StageRunning
	p.mu.Unlock()
	return nil
}

func (p *process) startMachine(ctx context.Context) error {
	engine, err := engines.For(p.spec.Machine)
	if err != nil {
		return err
	}
	machine, err := engine.Start(ctx, p.spec.VM, p.spec.Jail)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.machine = machine
	p.mu.Unlock()
	// Nothing that the guest says has been read yet.
	if err := p.spec.Jail.Seal(p.spec.Dir, p.reach()); err != nil {
		return err
	}
	if p.network != nil {
		p.network.Serve(machine.Network())
	}
	go func() { _ = portal.Forward(context.WithoutCancel(ctx), p.streams, machine.Portal()) }()
	return nil
}

// rootCause ends the machine of a start that failed, and returns why: if the
// machine had ended by itself, that is the cause of all other errors.
func (p *process) rootCause(err error) error {
	if p.machine == nil {
		return err
	}
	_ = p.machine.Kill()
	if outcome := p.machine.Wait(); outcome.Reason != vmm.ReasonKilled {
		return p.machineError(outcome)
	}
	return err
}

// watchMachine notes an end of the machine that nobody asked for.
func (p *process) watchMachine() {
	p.finish(p.machineEnded(p.machine.Wait()), 0, true)
}

func (p *process) awaitAgent(ctx context.Context) error {
	conn, err := p.machine.Portal().Dial(ctx, protocol.PortAgent)
	if err != nil {
		return err
	}
	guest, err := dialAgent(conn, func(ctx context.Context) (net.Conn, error) {
		return p.machine.Portal().Dial(ctx, protocol.PortAgent)
	})
	if err != nil {
		_ = conn.Close()
		return err
	}
	p.mu.Lock()
	p.guest = guest
	p.mu.Unlock()
	return nil
}

func (p *process) initGuest(ctx context.Context) error {
	entropy := make([]byte, 64)
	_, _ = rand.Read(entropy) // never fails
	response, err := boxlitev1.NewGuestClient(p.guest).Init(ctx, &boxlitev1.GuestInitRequest{
		UnixNanos: time.Now().UnixNano(),
		Entropy:   entropy,
		Hostname:  p.spec.Container.GetHostname(),
		Network:   p.guestNetwork(),
	})
	if err != nil {
		return rpc.FromStatus(err)
	}
	p.mu.Lock()
	p.kernel = response.GetKernelRelease()
	p.mu.Unlock()
	return nil
}

func (p *process) initContainer(ctx context.Context) error {
	client := boxlitev1.NewContainerClient(p.guest)
	p.spec.Container.Network, p.spec.Container.CaCertificates = p.guestFiles(), p.trusted()
	if _, err := client.Init(ctx, p.spec.Container); err != nil {
		return rpc.FromStatus(err)
	}
	if len(p.spec.Container.GetMain().GetArgs()) == 0 {
		return nil
	}
	p.mu.Lock()
	p.main = protocol.MainExecution
	p.mu.Unlock()
	if err := p.logMain(); err != nil {
		return err
	}
	go p.watchMain(client)
	if p.spec.WaitForAttach {
		return nil
	}
	_, err := client.Start(ctx, &boxlitev1.ContainerStartRequest{})
	return rpc.FromStatus(err)
}

// watchMain ends the run when the main process has ended.
func (p *process) watchMain(client boxlitev1.ContainerClient) {
	response, err := client.Wait(context.Background(), &boxlitev1.ContainerWaitRequest{})
	if err != nil {
		return // the machine has ended, and watchMachine knows how
	}
	// Everyone attached gets all output first, however slowly they read.
	p.finish(mainEnded(response.GetStatus(), p.spec.VM.MemoryMiB), -1, false)
}

// stop ends the run on request, and returns when all is over.
func (p *process) stop(reason string, grace time.Duration, force bool) {
	p.finish(&boxlitev1.ExitRecord{Reason: reason}, grace, force)
	if force {
		// A shutdown that is under way must not keep the machine alive.
		p.killed.Store(true)
		p.mu.Lock()
		machine := p.machine
		p.mu.Unlock()
		if machine != nil {
			_ = machine.Kill()
		}
	}
	<-p.ended
}

// finish says how the run ends; only the first call counts. A negative grace
// has no limit.
func (p *process) finish(record *boxlitev1.ExitRecord, grace time.Duration, force bool) {
	p.endedOnce.Do(func() {
		p.mu.Lock()
		p.ending, p.grace, p.force = record, grace, force
		p.mu.Unlock()
		close(p.end)
	})
}

// shutDown ends the guest and then the machine.
func (p *process) shutDown(ctx context.Context) {
	// A paused guest can't shut down. Nobody pauses it any more.
	p.pausing.Lock()
	defer p.pausing.Unlock()
	if p.guest != nil && !p.force {
		if err := p.machine.Resume(ctx); err != nil {
			p.log.Error("resume the machine", "error", err)
		}
		if p.grace >= 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, p.grace+shutdownMargin)
			defer cancel()
		}
		_, err := boxlitev1.NewGuestClient(p.guest).Shutdown(ctx, &boxlitev1.ShutdownRequest{
			GraceMillis: uint32(max(0, p.grace.Milliseconds())),
		})
		stage.Reached("shim/shut-down", p.spec.BoxID)
		if err != nil && !p.killed.Load() {
			err = rpc.FromStatus(err)
			err = &protocol.Error{Kind: protocol.KindOf(err), Op: "shut the guest down", Err: err}
			p.log.Error(err.Error())
			if p.ending.Error == nil {
				p.ending.Error = rpc.ToDetail(err)
			}
		} else if err == nil && p.ending.Status == nil {
			p.ending.Status = p.mainStatus(ctx)
		}
	}
	_ = p.streams.Close()
	if p.machine != nil {
		if err := p.machine.Kill(); err != nil {
			p.log.Error("end the machine", "error", err)
		}
		p.machine.Wait()
	}
	if p.network != nil {
		if err := p.network.Close(); err != nil {
			p.log.Error("end the network", "error", err)
		}
	}
	if p.guest != nil {
		_ = p.guest.Close()
	}
}

// mainStatus asks how the main process ended, after a shutdown.
func (p *process) mainStatus(ctx context.Context) *boxlitev1.ExitStatus {
	if p.main == "" {
		return nil
	}
	response, err := boxlitev1.NewContainerClient(p.guest).Wait(ctx, &boxlitev1.ContainerWaitRequest{})
	if err != nil {
		return nil
	}
	return response.GetStatus()
}
