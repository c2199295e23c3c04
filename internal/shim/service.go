package shim

import (
	"context"
	"time"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// What a shim says that it is doing, if it is not starting the box.
const (
	StageRunning  = "running"
	StagePaused   = "paused"
	StageStopping = "stopping"
)

// service serves boxlite.v1.Shim.
type service struct {
	boxlitev1.UnimplementedShimServer
	process *process
}

func (s *service) Ready(ctx context.Context, _ *boxlitev1.ReadyRequest) (*boxlitev1.ReadyResponse, error) {
	p := s.process
	select {
	case <-p.ready:
	case <-ctx.Done():
		return nil, rpc.ToStatus(ctx.Err())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return nil, rpc.ToStatus(p.err)
	}
	return &boxlitev1.ReadyResponse{KernelRelease: p.kernel, Stages: p.stages, ExecutionId: p.main}, nil
}

func (s *service) Status(context.Context, *boxlitev1.StatusRequest) (*boxlitev1.StatusResponse, error) {
	p := s.process
	p.mu.Lock()
	defer p.mu.Unlock()
	response := &boxlitev1.StatusResponse{Stage: p.stage}
	switch {
	case p.isEnding():
		response.Stage = StageStopping
	case p.paused.Load():
		response.Stage = StagePaused
	}
	if p.machine != nil {
		response.VmmPid = uint32(p.machine.PID())
	}
	return response, nil
}

func (s *service) Pause(ctx context.Context, _ *boxlitev1.PauseRequest) (*boxlitev1.PauseResponse, error) {
	if err := s.process.pause(ctx); err != nil {
		return nil, rpc.ToStatus(err)
	}
	return &boxlitev1.PauseResponse{}, nil
}

func (s *service) Resume(ctx context.Context, _ *boxlitev1.ResumeRequest) (*boxlitev1.ResumeResponse, error) {
	if err := s.process.resume(ctx); err != nil {
		return nil, rpc.ToStatus(err)
	}
	return &boxlitev1.ResumeResponse{}, nil
}

func (s *service) Detach(context.Context, *boxlitev1.DetachRequest) (*boxlitev1.DetachResponse, error) {
	s.process.detached.Store(true)
	return &boxlitev1.DetachResponse{}, nil
}

func (s *service) Stop(_ context.Context, r *boxlitev1.StopRequest) (*boxlitev1.StopResponse, error) {
	reason := ReasonStopped
	if r.GetForce() {
		reason = ReasonKilled
	}
	s.process.stop(reason, time.Duration(r.GetGraceMillis())*time.Millisecond, r.GetForce())
	return &boxlitev1.StopResponse{Exit: s.process.ending}, nil
}
