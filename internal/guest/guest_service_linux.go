package guest

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// guestService serves boxlite.v1.Guest.
type guestService struct {
	boxlitev1.UnimplementedGuestServer
	container *containerService

	mu   sync.Mutex
	init bool

	listing sync.Mutex // held while the processes are listed
}

func (s *guestService) Ping(context.Context, *boxlitev1.PingRequest) (*boxlitev1.PingResponse, error) {
	return &boxlitev1.PingResponse{Version: protocol.Version}, nil
}

func (s *guestService) Init(_ context.Context, r *boxlitev1.GuestInitRequest) (*boxlitev1.GuestInitResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.init {
		return nil, rpc.ToStatus(&protocol.Error{
			Kind: protocol.KindInvalidState, Op: "prepare the guest", Err: errors.New("it is prepared already"),
		})
	}
	response, err := prepareMachine(r)
	if err != nil {
		return nil, rpc.ToStatus(&protocol.Error{Kind: protocol.KindEngine, Op: "prepare the guest", Err: err})
	}
	s.init = true
	return response, nil
}

func (s *guestService) SetTime(_ context.Context, r *boxlitev1.SetTimeRequest) (*boxlitev1.SetTimeResponse, error) {
	const tolerance = 20 * time.Millisecond
	if wrong := time.Until(time.Unix(0, r.GetUnixNanos())); wrong.Abs() < tolerance {
		return &boxlitev1.SetTimeResponse{}, nil
	}
	if err := setTime(r.GetUnixNanos()); err != nil {
		return nil, rpc.ToStatus(&protocol.Error{Kind: protocol.KindEngine, Op: "set the guest's clock", Err: err})
	}
	return &boxlitev1.SetTimeResponse{}, nil
}

// Shutdown ends all processes, then waits until everyone attached has had all
// output and the exit status, or until ctx ends. Last it unmounts.
func (s *guestService) Shutdown(ctx context.Context, r *boxlitev1.ShutdownRequest) (*boxlitev1.ShutdownResponse, error) {
	stop := syscall.Signal(s.container.stopSignal())
	s.container.executions.end(ctx, stop, time.Duration(r.GetGraceMillis())*time.Millisecond)
	s.container.kill()
	// What is open keeps the disks mounted.
	s.container.sockets.End(ctx)
	s.container.files.End(ctx)
	s.container.executions.clients.wait(ctx)
	s.container.executions.forgetLogs()
	if err := s.container.unmount(); err != nil {
		return nil, rpc.ToStatus(&protocol.Error{Kind: protocol.KindStorage, Op: "write the box's files to its disk", Err: err})
	}
	return &boxlitev1.ShutdownResponse{}, nil
}
