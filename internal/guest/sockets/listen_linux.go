package sockets

import (
	"context"
	"errors"
	"io"
	"net"

	"google.golang.org/grpc"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// listener waits for connections. Those that nobody has taken yet are in the
// kernel's queue, all but one.
type listener struct {
	net.Listener
	name  string // for those whose own says nothing
	conns chan net.Conn
	ended chan struct{} // closed when err is there
	err   error
}

// Listen implements boxlitev1.SocketsServer.
func (s *Service) Listen(stream grpc.BidiStreamingServer[boxlitev1.ListenRequest, boxlitev1.ListenResponse]) error {
	ctx, root, done, err := s.begin(stream.Context())
	if err != nil {
		return rpc.ToStatus(err)
	}
	defer done()
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	l, address, err := listen(ctx, root, first.GetOpen())
	if err != nil {
		return status(ctx, err)
	}
	id := s.add(l)
	accepting, stop := context.WithCancel(ctx)
	go l.accept(accepting)
	defer func() {
		s.drop(id)
		stop()
		l.Close()
		<-l.ended
	}()
	if err := stream.Send(&boxlitev1.ListenResponse{Listener: id, Address: address}); err != nil {
		return err
	}
	left := make(chan error, 1)
	go func() {
		_, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			err = nil
		}
		left <- err
	}()
	select {
	case err := <-left:
		return err
	case <-l.ended:
		return status(ctx, l.err)
	case <-ctx.Done():
		return status(ctx, ctx.Err())
	}
}

func listen(ctx context.Context, root Root, a *boxlitev1.SocketAddress) (*listener, string, error) {
	fresh := func(l net.Listener, name string) *listener {
		return &listener{Listener: l, name: name, conns: make(chan net.Conn), ended: make(chan struct{})}
	}
	switch a.GetNetwork() {
	case "unix":
		l, err := listenUnix(root, a.GetAddress())
		if err != nil {
			return nil, "", err
		}
		return fresh(l, a.GetAddress()), a.GetAddress(), nil
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, "", invalid("use tcp or unix", "nothing can listen on the network %.40q", a.GetNetwork())
	}
	all, err := targets(a)
	if err != nil {
		return nil, "", err
	}
	address := all[0].String()
	if host, port, _ := net.SplitHostPort(a.GetAddress()); host == "" {
		address = net.JoinHostPort("", port) // all that there are
	}
	l, err := new(net.ListenConfig).Listen(ctx, a.GetNetwork(), address)
	if err != nil {
		return nil, "", err
	}
	return fresh(l, ""), l.Addr().String(), nil
}

// accept takes connections, one after the other, as others ask for them.
func (l *listener) accept(ctx context.Context) {
	defer close(l.ended)
	for {
		conn, err := l.Accept()
		if err != nil {
			l.err = err
			return
		}
		select {
		case l.conns <- conn:
		case <-ctx.Done():
			conn.Close()
			l.err = context.Cause(ctx)
			return
		}
	}
}

func (s *Service) add(l *listener) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.listeners[s.last] = l
	return s.last
}

func (s *Service) drop(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, id)
}

// Accept implements boxlitev1.SocketsServer.
func (s *Service) Accept(stream socketStream) error {
	ctx, _, done, err := s.begin(stream.Context())
	if err != nil {
		return rpc.ToStatus(err)
	}
	defer done()
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	s.mu.Lock()
	l := s.listeners[first.GetAccept()]
	s.mu.Unlock()
	if l == nil {
		return status(ctx, &protocol.Error{Kind: protocol.KindNotFound, Err: net.ErrClosed})
	}
	select {
	case conn := <-l.conns:
		return status(ctx, carry(ctx, stream, conn, l.name))
	case <-l.ended:
		return status(ctx, l.err)
	case <-ctx.Done():
		return status(ctx, ctx.Err())
	}
}
