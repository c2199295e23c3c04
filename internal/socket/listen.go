package socket

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// listener is a listener in a box.
type listener struct {
	client  boxlitev1.SocketsClient
	stream  grpc.BidiStreamingClient[boxlitev1.ListenRequest, boxlitev1.ListenResponse]
	id      uint64
	network string
	addr    net.Addr
	// ctx ends when the listener does, be it by Close or otherwise.
	ctx   context.Context
	end   context.CancelCauseFunc
	gone  chan struct{} // closed when the agent has closed it
	close sync.Once
}

// Listen listens on an address in the box whose agent is at the other end of guest.
// ctx matters until Listen returns.
func Listen(ctx context.Context, guest grpc.ClientConnInterface, network, address string) (net.Listener, error) {
	client := boxlitev1.NewSocketsClient(guest)
	streamCtx, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { cut(context.Cause(ctx)) })
	stream, err := client.Listen(streamCtx)
	var r *boxlitev1.ListenResponse
	if err == nil {
		open := &boxlitev1.ListenRequest{Open: &boxlitev1.SocketAddress{Network: network, Address: address}}
		if err = stream.Send(open); err == nil || errors.Is(err, io.EOF) {
			r, err = stream.Recv()
		}
	}
	if !stop() || err != nil {
		cut(net.ErrClosed)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, rpc.FromStatus(err)
	}
	l := &listener{
		client: client, stream: stream, id: r.GetListener(), network: network, addr: addrOf(network, r.GetAddress()),
		gone: make(chan struct{}),
	}
	l.ctx, l.end = context.WithCancelCause(context.Background())
	go func() {
		_, err := stream.Recv()
		if err == nil || errors.Is(err, io.EOF) {
			err = net.ErrClosed
		} else {
			err = rpc.FromStatus(err)
		}
		l.end(err)
		cut(err)
		close(l.gone)
	}()
	return l, nil
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	first := &request{Kind: &boxlitev1.SocketRequest_Accept{Accept: l.id}}
	c, err := connect(l.ctx, l.network, l.client.Accept, first)
	if l.ctx.Err() != nil {
		err = context.Cause(l.ctx)
	}
	if err != nil {
		if c != nil {
			c.Close()
		}
		return nil, &net.OpError{Op: "accept", Net: l.network, Addr: l.addr, Err: err}
	}
	return c.public(), nil
}

// Close implements net.Listener. When it returns, the address is free again.
func (l *listener) Close() error {
	err := error(&net.OpError{Op: "close", Net: l.network, Addr: l.addr, Err: net.ErrClosed})
	l.close.Do(func() {
		err = nil
		l.end(net.ErrClosed)
		_ = l.stream.CloseSend() // of a stream that broke
		timer := time.NewTimer(closeTimeout)
		defer timer.Stop()
		select {
		case <-l.gone:
		case <-timer.C:
		}
	})
	return err
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.addr }
