package sockets

import (
	"context"
	"errors"
	"net"
	"sync"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// Root is the root of a container.
type Root interface {
	// Open opens a file below the root, and returns its descriptor. No link leads
	// out.
	Open(path string, flags int, mode uint32) (int, error)
	// Owner is whom new files belong to.
	Owner() (uid, gid uint32, err error)
}

// maxSockets is how many sockets may be open at the same time, listeners and those
// that wait to accept included.
const maxSockets = 4096

// Service serves boxlite.v1.Sockets.
type Service struct {
	boxlitev1.UnimplementedSocketsServer
	closing chan struct{}
	active  sync.WaitGroup

	mu        sync.Mutex
	root      Root // nil until there is a container
	closed    bool
	open      int
	listeners map[uint64]*listener
	last      uint64 // ID of a listener
}

// New returns a service that refuses everything until Serve.
func New() *Service {
	return &Service{closing: make(chan struct{}), listeners: make(map[uint64]*listener)}
}

// Serve makes the service work for a container.
func (s *Service) Serve(root Root) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.root = root
}

// End closes all sockets, and waits until they are closed, or ctx ends.
func (s *Service) End(ctx context.Context) {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		s.active.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// begin makes place for a socket, until done is called. The context ends when the
// service does.
func (s *Service) begin(parent context.Context) (ctx context.Context, root Root, done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == nil || s.closed {
		return nil, nil, nil, errStopped
	}
	if s.open >= maxSockets {
		return nil, nil, nil, &protocol.Error{
			Kind: protocol.KindResourceExhausted, Err: errors.New("too many sockets are open"), Hint: "close some of them",
		}
	}
	s.open++
	s.active.Add(1)
	ctx, cancel := context.WithCancelCause(parent)
	finished := make(chan struct{})
	go func() {
		select {
		case <-s.closing:
			cancel(errStopped)
		case <-finished:
		}
	}()
	return ctx, s.root, func() {
		close(finished)
		cancel(context.Canceled)
		s.mu.Lock()
		s.open--
		s.mu.Unlock()
		s.active.Done()
	}, nil
}

var errStopped = &protocol.Error{
	Kind: protocol.KindStopped, Err: errors.New("the container is not running"), Hint: "start the box again",
}

// socketStream is the stream that stands for a socket.
type socketStream = grpc.BidiStreamingServer[boxlitev1.SocketRequest, boxlitev1.SocketResponse]

// Dial implements boxlitev1.SocketsServer.
func (s *Service) Dial(stream socketStream) error {
	ctx, root, done, err := s.begin(stream.Context())
	if err != nil {
		return rpc.ToStatus(err)
	}
	defer done()
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	conn, err := dial(ctx, root, first.GetOpen())
	if err != nil {
		return status(ctx, err)
	}
	return status(ctx, carry(ctx, stream, conn, first.GetOpen().GetAddress()))
}

// dial connects to an address.
func dial(ctx context.Context, root Root, a *boxlitev1.SocketAddress) (net.Conn, error) {
	if a.GetNetwork() == "unix" {
		return dialUnix(ctx, root, a.GetAddress())
	}
	targets, err := targets(a)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	var first error
	for _, target := range targets {
		conn, err := dialer.DialContext(ctx, a.GetNetwork(), target.String())
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// status turns an error into one for the client: the cause alone, as the client
// knows what it has asked for.
func status(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if _, ok := errors.AsType[*protocol.Error](err); ok {
		return rpc.ToStatus(err)
	}
	return rpc.ToStatus(broken(err))
}

// broken describes an error of a socket.
func broken(err error) *protocol.Error {
	kind := protocol.KindNetwork
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		err = errno // what is around it names addresses, which the client knows, and the agent's own files
		switch errno {
		case unix.EADDRINUSE:
			kind = protocol.KindAlreadyExists
		case unix.ENOENT:
			kind = protocol.KindNotFound
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ENOSPC:
			kind = protocol.KindResourceExhausted
		}
	}
	return &protocol.Error{Kind: kind, Err: err}
}
