package guest

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// executionService serves boxlite.v1.Execution.
type executionService struct {
	boxlitev1.UnimplementedExecutionServer
	executions *executions
}

func (s *executionService) Start(_ context.Context, r *boxlitev1.StartRequest) (*boxlitev1.StartResponse, error) {
	e, err := s.executions.start(r)
	if err != nil {
		return nil, rpc.ToStatus(err)
	}
	return started(e), nil
}

func started(e *execution) *boxlitev1.StartResponse {
	return &boxlitev1.StartResponse{Id: e.id, Pid: uint32(e.child.PID)}
}

func (s *executionService) Wait(ctx context.Context, r *boxlitev1.WaitRequest) (*boxlitev1.WaitResponse, error) {
	e, err := s.executions.get(ctx, r.GetId())
	if err != nil {
		return nil, rpc.ToStatus(err)
	}
	status, err := e.out.wait(ctx)
	if err != nil {
		return nil, rpc.ToStatus(err)
	}
	return &boxlitev1.WaitResponse{Status: status}, nil
}

func (s *executionService) Signal(ctx context.Context, r *boxlitev1.SignalRequest) (*boxlitev1.SignalResponse, error) {
	e, err := s.executions.get(ctx, r.GetId())
	if err == nil {
		err = e.signal(r.GetSignal(), r.GetGroup())
	}
	if err != nil {
		return nil, rpc.ToStatus(err)
	}
	return &boxlitev1.SignalResponse{}, nil
}

func (s *executionService) Resize(ctx context.Context, r *boxlitev1.ResizeRequest) (*boxlitev1.ResizeResponse, error) {
	e, err := s.executions.get(ctx, r.GetId())
	if err == nil {
		err = e.resize(r.GetSize())
	}
	if err != nil {
		return nil, rpc.ToStatus(err)
	}
	return &boxlitev1.ResizeResponse{}, nil
}

func (s *executionService) Attach(stream grpc.BidiStreamingServer[boxlitev1.AttachRequest, boxlitev1.AttachResponse]) error {
	s.executions.clients.add()
	defer s.executions.clients.done()
	return rpc.ToStatus(s.attach(stream))
}

func (s *executionService) attach(stream grpc.BidiStreamingServer[boxlitev1.AttachRequest, boxlitev1.AttachResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	open := first.GetOpen()
	if open == nil {
		return &protocol.Error{Kind: protocol.KindInvalidArgument, Err: errors.New("the first request must open an attachment")}
	}
	e, err := s.target(stream.Context(), open)
	if err != nil {
		return err
	}
	r := e.out.attach([streamCount]uint64{open.GetStdoutOffset(), open.GetStderrOffset()})
	defer r.close()
	if err := stream.Send(&boxlitev1.AttachResponse{Kind: &boxlitev1.AttachResponse_Started{Started: started(e)}}); err != nil {
		return err
	}
	// The client closes its side when it has had the exit status, or is gone.
	left := make(chan struct{})
	go func() {
		defer close(left)
		s.receive(stream, e)
	}()
	if err := send(stream, r); err != nil {
		return err
	}
	select {
	case <-left:
	case <-stream.Context().Done():
	}
	return nil
}

// target finds the command to attach to, or starts it.
func (s *executionService) target(ctx context.Context, open *boxlitev1.AttachOpen) (*execution, error) {
	if start := open.GetStart(); start != nil {
		return s.executions.start(start)
	}
	return s.executions.get(ctx, open.GetId())
}

// send passes on output, then the exit status.
func send(stream grpc.BidiStreamingServer[boxlitev1.AttachRequest, boxlitev1.AttachResponse], r *reader) error {
	for {
		c, exited, err := r.next(stream.Context())
		if err != nil {
			return err
		}
		if exited != nil {
			return stream.Send(&boxlitev1.AttachResponse{Kind: &boxlitev1.AttachResponse_Exited{Exited: exited}})
		}
		if err := sendChunk(stream, c); err != nil {
			return err
		}
	}
}

func sendChunk(stream grpc.BidiStreamingServer[boxlitev1.AttachRequest, boxlitev1.AttachResponse], c chunk) error {
	if c.block.buf != nil && len(c.data) >= leastWhole {
		return stream.SendMsg(outputMessage{c}) // releases the chunk
	}
	defer c.block.release() // Send copies
	response := &boxlitev1.AttachResponse{}
	out := &boxlitev1.Output{Data: c.data, Offset: c.offset}
	if c.stream == stdout {
		response.Kind = &boxlitev1.AttachResponse_Stdout{Stdout: out}
	} else {
		response.Kind = &boxlitev1.AttachResponse_Stderr{Stderr: out}
	}
	return stream.Send(response)
}

// receive serves the client's requests until it closes its side or is gone.
func (s *executionService) receive(stream grpc.BidiStreamingServer[boxlitev1.AttachRequest, boxlitev1.AttachResponse], e *execution) {
	for {
		request, err := stream.Recv()
		if err != nil {
			return // EOF: the client is done
		}
		switch kind := request.GetKind().(type) {
		case *boxlitev1.AttachRequest_Stdin:
			e.writeStdin(kind.Stdin)
		case *boxlitev1.AttachRequest_StdinClose:
			e.closeStdin()
		case *boxlitev1.AttachRequest_Resize:
			_ = e.resize(kind.Resize) // a command that has ended has no size
		case *boxlitev1.AttachRequest_Signal:
			_ = e.signal(kind.Signal, false) // nor anyone to hear a signal
		}
	}
}

// writeStdin blocks while the command does not read. Once it has ended, what is
// written is dropped, as it would be on the host.
func (e *execution) writeStdin(p []byte) {
	if e.stdin != nil {
		n, _ := e.stdin.Write(p)
		e.counters.wrote(n)
	}
}

// closeStdin ends standard input. A terminal has no end of input of its own: it
// is typed, as Ctrl-D.
func (e *execution) closeStdin() {
	switch {
	case e.stdin == nil:
	case e.request.GetProcess().GetTty():
		_, _ = e.stdin.Write([]byte{4})
	default:
		_ = e.stdin.Close()
	}
}
