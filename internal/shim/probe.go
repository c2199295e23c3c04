package shim

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

const (
	// maxProbeOutput is how much of what a health check writes is kept.
	maxProbeOutput = 4 << 10
	// probeKillTimeout bounds the end of a health check that took too long.
	probeKillTimeout = 2 * time.Second
)

// probe checks once whether the box is well.
func (p *process) probe(ctx context.Context) (string, error) {
	test := p.spec.Health.Test
	if len(test) == 0 {
		if _, err := boxlitev1.NewGuestClient(p.guest).Ping(ctx, &boxlitev1.PingRequest{}); err != nil {
			err = rpc.FromStatus(err)
			return "the guest's agent does not answer: " + err.Error(), err
		}
		return "", nil
	}
	args := test[1:]
	if test[0] == "CMD-SHELL" {
		args = []string{"/bin/sh", "-c", strings.Join(args, " ")}
	}
	return runProbe(ctx, boxlitev1.NewExecutionClient(p.guest), args)
}

// runProbe runs a command in the container, and kills it when ctx ends.
func runProbe(ctx context.Context, client boxlitev1.ExecutionClient, args []string) (string, error) {
	stream, err := client.Attach(ctx)
	if err == nil {
		err = stream.Send(&boxlitev1.AttachRequest{Kind: &boxlitev1.AttachRequest_Open{Open: &boxlitev1.AttachOpen{
			Target: &boxlitev1.AttachOpen_Start{Start: &boxlitev1.StartRequest{Process: &boxlitev1.Process{Args: protocol.Bytes(args)}, Internal: true}},
		}}})
	}
	if err != nil {
		err = rpc.FromStatus(err)
		return err.Error(), err
	}
	var id string
	var out outputEnd
	for {
		response, err := stream.Recv()
		if err != nil {
			err = rpc.FromStatus(err)
			if id == "" {
				return err.Error(), err // there is no such command, for one
			}
			killProbe(ctx, client, id)
			return out.String(), err
		}
		switch kind := response.GetKind().(type) {
		case *boxlitev1.AttachResponse_Started:
			id = kind.Started.GetId()
		case *boxlitev1.AttachResponse_Stdout:
			out.write(kind.Stdout.GetData())
		case *boxlitev1.AttachResponse_Stderr:
			out.write(kind.Stderr.GetData())
		case *boxlitev1.AttachResponse_Exited:
			_ = stream.CloseSend() // tells the agent that all has arrived
			if code := kind.Exited.GetCode(); code != 0 {
				return out.String(), fmt.Errorf("exit code %d", code)
			}
			return out.String(), nil
		}
	}
}

// killProbe ends a check, and all that it has started. If the guest does not
// answer, nothing is lost: it ends with the box.
func killProbe(ctx context.Context, client boxlitev1.ExecutionClient, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeKillTimeout)
	defer cancel()
	_, _ = client.Signal(ctx, &boxlitev1.SignalRequest{Id: id, Signal: uint32(syscall.SIGKILL), Group: true})
}

// outputEnd keeps the end of what a check writes.
type outputEnd struct{ data []byte }

func (o *outputEnd) write(p []byte) {
	o.data = append(o.data, p...)
	o.data = append(o.data[:0], o.data[max(0, len(o.data)-maxProbeOutput):]...)
}

// String returns it as text.
func (o *outputEnd) String() string { return strings.ToValidUTF8(string(o.data), "?") }
