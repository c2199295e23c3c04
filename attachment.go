package boxlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

const (
	// stdinChunk is how much of standard input is sent at once.
	stdinChunk = 64 << 10
	// signalKill and signalPipe are the guest's SIGKILL and SIGPIPE.
	signalKill = 9
	signalPipe = 13
	// killTimeout is how long a killed command may take to end, before the
	// connection to it is cut.
	killTimeout = 10 * time.Second
)

// attachment is the client's end of a command that runs: it copies the streams
// and learns how the command ended.
type attachment struct {
	box    *Box
	run    *run
	client boxlitev1.ExecutionClient
	stream grpc.BidiStreamingClient[boxlitev1.AttachRequest, boxlitev1.AttachResponse]
	cut    context.CancelFunc // see leave
	left   atomic.Bool
	// detached is set if it was left for good, by Command.Detach.
	detached atomic.Bool
	pipes    *pipes

	outputs [2]output

	begun chan struct{} // closed when id is there
	id    string
	pid   int
	done  chan struct{} // closed when status or err is there, and all is written
	// status is how the command ended.
	status *boxlitev1.ExitStatus
	err    error

	mu       sync.Mutex
	ctxErr   error // why the command was killed or left
	stdinErr error
	unread   bool // nobody takes standard input any more
	release  func() bool
}

// output is where one stream of the command goes.
type output struct {
	w      io.Writer // nil drops everything
	offset uint64    // of the next byte
	known  bool      // whether offset is
	wanted uint64    // where the stream was to begin
	// skipped is how much of it was gone by then.
	skipped int64
	err     error // of the first Write that failed
}

// attach opens a stream to the agent and sends open. It returns before there is
// an answer; see awaitStart.
func (c *Command) attach(ctx context.Context, r *run, open *boxlitev1.AttachOpen) (*attachment, error) {
	streamCtx, cut := context.WithCancel(context.WithoutCancel(ctx))
	a := &attachment{
		box: c.box, run: r, client: boxlitev1.NewExecutionClient(r.client.Guest()), cut: cut,
		begun: make(chan struct{}), done: make(chan struct{}), release: func() bool { return true },
		pipes: &c.pipes,
	}
	a.outputs[0].w, a.outputs[1].w = c.Stdout, c.Stderr
	a.outputs[0].wanted, a.outputs[1].wanted = open.GetStdoutOffset(), open.GetStderrOffset()
	var err error
	a.stream, err = a.client.Attach(streamCtx)
	if err == nil {
		err = a.stream.Send(&boxlitev1.AttachRequest{Kind: &boxlitev1.AttachRequest_Open{Open: open}})
		if errors.Is(err, io.EOF) {
			_, err = a.stream.Recv() // says what happened
		}
	}
	if err != nil {
		defer a.leave()
		return nil, a.lost(rpc.FromStatus(err))
	}
	go a.receive(c.Stdin)
	return a, nil
}

// detach leaves the command to itself: the end of its context does not matter any
// more.
func (a *attachment) detach() {
	a.mu.Lock()
	a.release()
	a.mu.Unlock()
	a.detached.Store(true)
	a.leave()
}

// leave cuts the stream. The command, and its box, are not told otherwise.
func (a *attachment) leave() {
	a.left.Store(true)
	a.cut()
}

// awaitStart waits until the command runs. If ctx ends before, a command that is
// its own is killed.
func (a *attachment) awaitStart(ctx context.Context, own bool) error {
	select {
	case <-a.begun:
		return nil
	case <-a.done:
		select {
		case <-a.begun: // and has ended already
			return nil
		default:
			return a.err
		}
	case <-ctx.Done():
	}
	go func() {
		defer a.leave()
		if !own {
			return
		}
		select {
		case <-a.begun:
			_ = a.signal(context.Background(), signalKill, true) // cut it loose in any case
		case <-a.done:
		case <-time.After(killTimeout):
		}
	}()
	return context.Cause(ctx)
}

// killWhenDone kills the command when ctx ends first.
func (a *attachment) killWhenDone(ctx context.Context) {
	a.whenDone(ctx, func() {
		defer a.leave()
		timeout, cancel := context.WithTimeout(context.Background(), killTimeout)
		defer cancel()
		if err := a.signal(timeout, signalKill, true); err != nil {
			return
		}
		select {
		case <-a.done:
		case <-timeout.Done():
		}
	})
}

// leaveWhenDone leaves the command when ctx ends first.
func (a *attachment) leaveWhenDone(ctx context.Context) { a.whenDone(ctx, a.leave) }

func (a *attachment) whenDone(ctx context.Context, end func()) {
	release := context.AfterFunc(ctx, func() {
		a.mu.Lock()
		a.ctxErr = context.Cause(ctx)
		a.mu.Unlock()
		end()
	})
	a.mu.Lock()
	a.release = release
	a.mu.Unlock()
}

// wait waits for the end of the command and returns what Command.Wait does.
func (a *attachment) wait() error {
	<-a.done
	a.mu.Lock()
	defer a.mu.Unlock()
	a.release()
	switch {
	case a.detached.Load() && a.status == nil:
		return ErrDetached
	case a.ctxErr != nil && (a.status == nil || a.status.GetSignal() == signalKill):
		return a.ctxErr
	case a.err != nil:
		return a.err
	}
	if exit := exitErrorOf(a.status); exit != nil {
		return exit
	}
	for i := range a.outputs {
		if err := a.outputs[i].err; err != nil {
			return fmt.Errorf("write the command's output: %w", err)
		}
	}
	if a.stdinErr != nil {
		return fmt.Errorf("read the command's input: %w", a.stdinErr)
	}
	return nil
}

// receive takes what the agent sends until the command has ended.
func (a *attachment) receive(stdin io.Reader) {
	defer close(a.done)
	defer a.closePipes()
	defer a.leave()
	for {
		response, err := a.stream.Recv()
		if err != nil {
			a.err = a.lost(rpc.FromStatus(err))
			return
		}
		switch kind := response.GetKind().(type) {
		case *boxlitev1.AttachResponse_Started:
			if a.id != "" {
				a.err = broken("it says twice that the command has started")
				return
			}
			a.id, a.pid = kind.Started.GetId(), int(kind.Started.GetPid())
			close(a.begun)
			if stdin != nil {
				go a.copyStdin(stdin)
			}
		case *boxlitev1.AttachResponse_Stdout:
			err = a.write(0, kind.Stdout)
		case *boxlitev1.AttachResponse_Stderr:
			err = a.write(1, kind.Stderr)
		case *boxlitev1.AttachResponse_Exited:
			a.status = kind.Exited
			return
		}
		if err != nil {
			a.err = err
			return
		}
	}
}

func broken(what string) error {
	return &Error{Kind: ErrRPC, Err: fmt.Errorf("the box's agent breaks its protocol: %s", what)}
}

// write passes output on. Its bytes must follow those that came before.
func (a *attachment) write(stream int, out *boxlitev1.Output) error {
	o := &a.outputs[stream]
	if o.known && out.GetOffset() != o.offset {
		return broken(fmt.Sprintf("output skips from byte %d to %d", o.offset, out.GetOffset()))
	}
	if !o.known && out.GetOffset() > o.wanted {
		o.skipped = int64(out.GetOffset() - o.wanted)
	}
	o.known = true
	o.offset = out.GetOffset() + uint64(len(out.GetData()))
	if o.w == nil || o.err != nil {
		return nil
	}
	if _, o.err = o.w.Write(out.GetData()); o.err != nil {
		// Nobody reads any more: to the command that is a closed pipe.
		go func() { _ = a.signal(context.Background(), signalPipe, false) }()
	}
	return nil
}

// copyStdin sends standard input until its end or the command's. Sending blocks
// while the command doesn't read.
func (a *attachment) copyStdin(stdin io.Reader) {
	buf := make([]byte, stdinChunk)
	for {
		n, err := stdin.Read(buf)
		if n > 0 {
			request := &boxlitev1.AttachRequest{Kind: &boxlitev1.AttachRequest_Stdin{Stdin: buf[:n]}}
			if a.stream.Send(request) != nil {
				return // the command has ended, and receive knows how
			}
		}
		if err == nil {
			continue
		}
		a.mu.Lock()
		if !errors.Is(err, io.EOF) && !a.unread {
			a.stdinErr = err
		}
		a.mu.Unlock()
		if a.left.Load() {
			return // it goes on without this input, which is no end of its own
		}
		_ = a.stream.Send(&boxlitev1.AttachRequest{Kind: &boxlitev1.AttachRequest_StdinClose{StdinClose: true}})
		return
	}
}

func (a *attachment) signal(ctx context.Context, number uint32, group bool) error {
	select {
	case <-a.done:
		return os.ErrProcessDone
	default:
	}
	_, err := a.client.Signal(ctx, &boxlitev1.SignalRequest{Id: a.id, Signal: number, Group: group})
	return rpc.FromStatus(err)
}

func (a *attachment) resize(ctx context.Context, rows, cols int) error {
	_, err := a.client.Resize(ctx, &boxlitev1.ResizeRequest{
		Id: a.id, Size: &boxlitev1.TerminalSize{Rows: uint32(max(0, rows)), Cols: uint32(max(0, cols))},
	})
	return rpc.FromStatus(err)
}

// lost explains a broken connection: most often the box has ended.
func (a *attachment) lost(err error) error {
	if errors.Is(err, io.EOF) {
		return broken("the stream ends without an exit status")
	}
	closed := errors.Is(err, context.Canceled) && !a.left.Load()
	if closed {
		// The Runtime closed the connection: it knows that the box has ended, or
		// is being closed itself.
		if err := a.box.rt.check(); err != nil {
			return err
		}
	}
	if !closed && !errors.Is(err, ErrRPCTransport) {
		return err
	}
	return a.box.explainLoss(a.run, err, " while the command ran")
}
