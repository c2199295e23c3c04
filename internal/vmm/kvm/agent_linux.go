package kvm

import (
	"context"
	"errors"
	"fmt"
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
	// conn, over which greetings are exchanged, lives as long as the machine: the agent
	// ends it without.
	conn     net.Conn
	greeting *child.Greeting
}

// greet exchanges greetings in the background.
func greet(client *client, conn net.Conn, process *child.Process) *agent {
	return &agent{client: client, conn: conn, greeting: process.Greet(func(ctx context.Context) error {
		err := portal.Greet(ctx, conn)
		if err != nil {
			_ = conn.Close()
		}
		return err
	})}
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
	if err := a.greeting.Wait(ctx); err != nil {
		return err
	}
	err := a.client.call(ctx, control.Request{Op: control.OpDial, Port: port}, fd)
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case errors.Is(err, errGone):
		return child.ErrEnded
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
	_ = a.greeting.Wait(context.Background()) // whatever came of it
	_ = a.conn.Close()
}
