// Package portal carries many byte streams between host and guest over
// whatever joins the two: one virtio-serial port, for example.
//
// The host calls [Client] on its end, the guest [Server] on its own. Each first
// sends a greeting with its protocol version, so that both know the other is
// there and speaks the same language. After that the host opens streams with
// [Session.Dial], naming a port, and the guest accepts them from the listener
// of that port ([Session.Listener]).
//
// The same few bytes that name a port open a stream through a Unix socket:
// [Forward] joins such a socket to a session, and [DialUnix] is its client.
package portal

import (
	"context"
	"net"
	"syscall"
)

// Dialer opens byte streams to ports of the guest.
type Dialer interface {
	// Dial opens a stream to a port on which the guest listens. It waits until
	// the guest is there.
	Dial(ctx context.Context, port uint32) (net.Conn, error)
}

// Joiner is a Dialer that can have what is at the other end of a stream do all with a
// connection itself, so that nothing has to be copied in between.
type Joiner interface {
	Dialer
	// Join makes conn the host's end of a stream, as Dial would open one. The stream has a
	// descriptor of its own then, and the caller's is the caller's to close.
	Join(ctx context.Context, conn syscall.Conn, port uint32) error
}
