package boxlite

import (
	"context"
	"errors"
	"net"

	"github.com/boxlite-go/boxlite/internal/socket"
)

// DialContext connects to an address in the box, after starting the box if need be,
// as commands do. It works whether the box has a network or not, and is no matter of
// the network's rules.
//
// The network is one of
//
//	tcp, tcp4, tcp6   the address is HOST:PORT, such as localhost:8080
//	udp, udp4, udp6   likewise; each Read and Write is one datagram
//	unix              the address is an absolute path in the box
//
// HOST is localhost, which is also meant if it is empty, or an IP address; other
// names are not looked up. The connection is made in the box, so an address that is
// not the box's own is reached from there, as far as the network's rules let the box.
//
// The connection is like one of package net: it has deadlines and, for tcp and unix,
// the methods CloseRead and CloseWrite. It breaks when the box stops. ctx matters
// until DialContext returns.
//
// An error that the box's kernel gives, such as that the connection is refused, is of
// kind [ErrNetwork], and errors.Is finds in it what Linux calls it:
// syscall.ECONNREFUSED.
func (b *Box) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return openSocket(ctx, b, "connect to "+address, func(ctx context.Context, r *run) (net.Conn, error) {
		return socket.Dial(ctx, r.client.Guest(), network, address)
	})
}

// Listen waits for connections from within the box, to an address there, after
// starting the box if need be. The network is tcp, tcp4, tcp6 or unix, the address as
// for [Box.DialContext]; without a HOST it means all addresses of the box, and with
// port 0 a port that is free: Addr tells which.
//
// A Unix socket belongs to the user that the box's commands run as, and nobody else
// may connect to it. Closing the listener removes it. The listener ends when the box
// stops. ctx matters until Listen returns.
func (b *Box) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	return openSocket(ctx, b, "listen on "+address, func(ctx context.Context, r *run) (net.Listener, error) {
		return socket.Listen(ctx, r.client.Guest(), network, address)
	})
}

// openSocket opens a socket in a box, which is started if need be.
func openSocket[T any](ctx context.Context, b *Box, op string, open func(context.Context, *run) (T, error)) (T, error) {
	var none T
	r, err := b.running(ctx)
	if err != nil {
		return none, err
	}
	opened, err := open(ctx, r)
	if err == nil {
		return opened, nil
	}
	closed := errors.Is(err, context.Canceled) && ctx.Err() == nil // by this Runtime, which knows that the box has ended
	if closed || errors.Is(err, ErrRPCTransport) {
		if err := b.rt.check(); err != nil {
			return none, err
		}
		err = b.explainLoss(r, err, "")
	}
	return none, &Error{Kind: kindOfCause(err), Op: op, Box: b.config.Label(), Hint: HintOf(err), Err: err}
}
