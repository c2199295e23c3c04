package socket

import (
	"context"
	"errors"
	"io"
	"net"

	"google.golang.org/grpc"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

type (
	socketStream = grpc.BidiStreamingClient[boxlitev1.SocketRequest, boxlitev1.SocketResponse]
	request      = boxlitev1.SocketRequest
)

// Dial connects to an address in the box whose agent is at the other end of guest.
// ctx matters until Dial returns.
func Dial(ctx context.Context, guest grpc.ClientConnInterface, network, address string) (net.Conn, error) {
	client := boxlitev1.NewSocketsClient(guest)
	open := &request{Kind: &boxlitev1.SocketRequest_Open{Open: &boxlitev1.SocketAddress{Network: network, Address: address}}}
	c, err := connect(ctx, network, client.Dial, open)
	if err != nil {
		return nil, err
	}
	return c.public(), nil
}

// connect opens a stream that stands for a connection, once that is there.
func connect(ctx context.Context, network string, call func(context.Context, ...grpc.CallOption) (socketStream, error), first *request) (*conn, error) {
	streamCtx, cut := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cut)
	opened, stream, err := open(streamCtx, call, first)
	if !stop() && err == nil {
		err = context.Cause(ctx) // the stream is cut
	}
	if err != nil {
		cut()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, rpc.FromStatus(err)
	}
	return newConn(network, opened, stream, cut), nil
}

func open(ctx context.Context, call func(context.Context, ...grpc.CallOption) (socketStream, error), first *request) (*boxlitev1.SocketOpened, socketStream, error) {
	stream, err := call(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := stream.Send(first); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	response, err := stream.Recv() // says what happened, if it is an error
	if err != nil {
		return nil, nil, err
	}
	if response.GetOpened() == nil {
		return nil, nil, errors.New("the agent's answer does not begin with the addresses")
	}
	return response.GetOpened(), stream, nil
}
