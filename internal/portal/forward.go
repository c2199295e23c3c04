package portal

import (
	"context"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// headerTimeout bounds how long a client of a socket may take to name a port.
const headerTimeout = 30 * time.Second

// Forward serves a Unix socket as a way into the guest: each connection names a
// port, as [DialUnix] does, and is joined to a stream to that port. It returns
// when l is closed, after closing all connections; it does not close l. Connections
// that guest has joined itself end with their streams.
func Forward(ctx context.Context, l net.Listener, guest Dialer) error {
	ctx, cancel := context.WithCancel(ctx)
	var joined sync.WaitGroup
	defer joined.Wait()
	defer cancel()
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		joined.Go(func() { forward(ctx, conn, guest) })
	}
}

func forward(ctx context.Context, conn net.Conn, guest Dialer) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetReadDeadline(time.Now().Add(headerTimeout))
	port, err := readPort(conn)
	if err != nil {
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	if joiner, ok := guest.(Joiner); ok {
		if c, ok := conn.(syscall.Conn); ok {
			_ = joiner.Join(ctx, c, port) // or else closing conn tells that it failed
			return
		}
	}
	stream, err := guest.Dial(ctx, port)
	if err != nil {
		return
	}
	defer stream.Close()
	// Closing a stream may end only its own direction; a deadline ends both.
	unblock := context.AfterFunc(ctx, func() { _ = stream.SetDeadline(time.Now()) })
	defer unblock()
	join(conn, stream)
}

// join copies both ways until both directions have ended.
func join(conn, stream net.Conn) {
	var toGuest sync.WaitGroup
	toGuest.Go(func() {
		if _, err := io.Copy(stream, conn); err != nil {
			_ = conn.Close()
		}
		_ = closeWrite(stream) // reading goes on
	})
	_, _ = io.Copy(conn, stream)
	// The guest has ended the stream: no use in what the client still sends.
	_ = conn.Close()
	toGuest.Wait()
}

// closeWrite ends the direction to the guest. A stream of a [Session] ends no other when
// it is closed.
func closeWrite(stream net.Conn) error {
	if half, ok := stream.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return stream.Close()
}

// DialUnix opens a stream to a port of the guest over conn, a connection to a
// socket that [Forward] serves. It returns conn itself.
func DialUnix(conn net.Conn, port uint32) (net.Conn, error) {
	if err := writePort(conn, port); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}
