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
	select {
	case <-a.ready:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if a.err != nil {
		return nil, a.err
	}
	failed := func(err error) error {
		return &protocol.Error{
			Kind: protocol.KindPortal, Op: fmt.Sprintf("open a stream to port %d of the guest", port), Err: err,
		}
	}
	conn, theirs, err := child.SocketPair(syscall.SOCK_STREAM)
	if err != nil {
		return nil, failed(err)
	}
	err = a.client.call(ctx, control.Request{Op: control.OpDial, Port: port}, theirs)
	_ = theirs.Close()
	if err == nil {
		return conn, nil
	}
	_ = conn.Close()
	switch {
	case errors.Is(err, errGone):
		return nil, errEnded
	case ctx.Err() != nil:
		return nil, err
	}
	return nil, failed(err)
}

// close ends the greeting, once the VMM has exited.
func (a *agent) close() {
	<-a.ready
	_ = a.greeting.Close()
}
