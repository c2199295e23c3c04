package kvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/boxlite-go/boxlite/internal/portal"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm/child"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/control"
)

// agent is the way to the agent.
type agent struct {
	client *client
	// greeting lives as long as the machine: the agent ends it without.
	greeting net.Conn
	ready    chan struct{} // closed when the greeting is over
	err      error
}

var errEnded = &protocol.Error{
	Kind: protocol.KindStopped, Op: "reach the guest", Err: errors.New("its virtual machine has ended"),
}

// greet exchanges greetings in the background, until exited is closed.
func greet(client *client, conn net.Conn, exited <-chan struct{}) *agent {
	a := &agent{client: client, greeting: conn, ready: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		defer close(a.ready)
		a.err = portal.Greet(ctx, conn)
		if a.err != nil {
			_ = conn.Close()
		}
		// The VMM closes its end when it exits, or the agent has, and with it the guest.
		if ctx.Err() != nil || errors.Is(a.err, io.EOF) || errors.Is(a.err, io.ErrUnexpectedEOF) ||
			errors.Is(a.err, syscall.ECONNRESET) || errors.Is(a.err, syscall.EPIPE) {
			a.err = errEnded
		}
	}()
	go func() {
		select {
		case <-exited:
			cancel()
		case <-a.ready:
		}
	}()
	return a
}

// Dial opens a stream to a port of the guest, as soon as its agent has answered. What is
// returned has CloseWrite. Nothing tells whether anybody listens: a stream to any other
// port ends at once.
func (a *agent) Dial(ctx context.Context, port uint32) (net.Conn, error) {
	conn, theirs, err := child.SocketPair(syscall.SOCK_STREAM)
	if err != nil {
		return nil, dialError(port, err)
	}
	defer theirs.Close()
	if err := a.join(ctx, int(theirs.Fd()), port); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// Join has the VMM read and write conn itself: nothing of the stream passes this process.
func (a *agent) Join(ctx context.Context, conn syscall.Conn, port uint32) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return dialError(port, err)
	}
	failed := raw.Control(func(fd uintptr) { err = a.join(ctx, int(fd), port) })
	if failed != nil {
		return dialError(port, failed)
	}
	return err
}

// join gives the VMM a descriptor of its own of the other end of a stream.
func (a *agent) join(ctx context.Context, fd int, port uint32) error {
	select {
	case <-a.ready:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if a.err != nil {
		return a.err
	}
	err := a.client.call(ctx, control.Request{Op: control.OpDial, Port: port}, fd)
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case errors.Is(err, errGone):
		return errEnded
	}
	return dialError(port, err)
}

func dialError(port uint32, err error) error {
	return &protocol.Error{
		Kind: protocol.KindPortal, Op: fmt.Sprintf("open a stream to port %d of the guest", port), Err: err,
	}
}

// close ends the greeting, once the VMM has exited.
func (a *agent) close() {
	<-a.ready
	_ = a.greeting.Close()
}
