package sockets

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// chunk is how much is read at once: more than the largest datagram.
const chunk = 64 << 10

// chunks are buffers. A socket that is silent has none.
var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// socket is a connection in the container and the stream that stands for it.
type socket struct {
	conn      net.Conn
	stream    socketStream
	datagrams bool

	sending sync.Mutex // one message at a time
	wrote   chan struct{}
}

// carry passes data on, both ways, until both sides have ended. What one side does
// not take, the other can't get rid of.
func carry(ctx context.Context, stream socketStream, conn net.Conn, asked string) error {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // whatever blocks returns
	defer stop()
	_, datagrams := conn.(*net.UDPConn)
	c := &socket{conn: conn, stream: stream, datagrams: datagrams, wrote: make(chan struct{})}
	if err := c.send(&boxlitev1.SocketResponse{Kind: &boxlitev1.SocketResponse_Opened{Opened: opened(conn, asked)}}); err != nil {
		return err
	}
	left, read := make(chan error, 1), make(chan error, 1)
	go func() { left <- c.receive() }()
	go func() { read <- c.read() }()
	wrote := c.wrote
	for read != nil || wrote != nil {
		select {
		case err := <-left:
			return err
		case err := <-read:
			if err != nil {
				return err
			}
			read = nil
		case <-wrote:
			wrote = nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// opened describes a connection. Unix sockets have the names that were asked for:
// the agent's are of its own making.
func opened(conn net.Conn, asked string) *boxlitev1.SocketOpened {
	if _, ok := conn.(*net.UnixConn); ok {
		return &boxlitev1.SocketOpened{Remote: asked}
	}
	return &boxlitev1.SocketOpened{Local: conn.LocalAddr().String(), Remote: conn.RemoteAddr().String()}
}

func (c *socket) send(r *boxlitev1.SocketResponse) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.stream.Send(r)
}

// read sends what comes from the connection, up to its end.
func (c *socket) read() error {
	conn, ok := c.conn.(syscall.Conn)
	if !ok {
		return errors.New("the connection is not a socket")
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	for {
		ended, err := c.readOnce(raw)
		if ended || err != nil {
			return err
		}
	}
}

func (c *socket) readOnce(raw syscall.RawConn) (ended bool, err error) {
	var buf *[chunk]byte
	var n int
	var readErr error
	if err := raw.Read(func(fd uintptr) bool {
		buf = chunks.Get().(*[chunk]byte)
		n, readErr = readFD(int(fd), buf[:])
		if errors.Is(readErr, unix.EAGAIN) {
			chunks.Put(buf)
			return false
		}
		return true
	}); err != nil {
		return false, err
	}
	defer chunks.Put(buf)
	switch {
	case c.datagrams && readErr != nil:
		return false, ignorable(readErr)
	case readErr != nil:
		return false, readErr
	case n == 0 && !c.datagrams:
		return true, c.send(&boxlitev1.SocketResponse{Kind: &boxlitev1.SocketResponse_End{End: true}})
	}
	return false, c.send(&boxlitev1.SocketResponse{Kind: &boxlitev1.SocketResponse_Data{Data: buf[:n]}})
}

// readFD is read(2), again if a signal has come between.
func readFD(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Read(fd, p)
		if !errors.Is(err, unix.EINTR) {
			return max(0, n), err
		}
	}
}

// ignorable drops errors of datagrams: they are about an earlier one, which may get
// lost anyway.
func ignorable(err error) error {
	switch {
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH),
		errors.Is(err, unix.EMSGSIZE), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EPERM):
		return nil
	}
	return err
}

// receive does what the client asks for, until it leaves.
func (c *socket) receive() error {
	wrote := sync.OnceFunc(func() { close(c.wrote) })
	failed := false
	for {
		r, err := c.stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch kind := r.GetKind().(type) {
		case *boxlitev1.SocketRequest_Data:
			if failed {
				continue
			}
			if err := c.write(kind.Data); err != nil {
				// What the peer has sent before is still on its way to the client.
				failed = true
				detail := rpc.ToDetail(broken(err))
				if err := c.send(&boxlitev1.SocketResponse{Kind: &boxlitev1.SocketResponse_WriteFailed{WriteFailed: detail}}); err != nil {
					return err
				}
				wrote()
			}
		case *boxlitev1.SocketRequest_CloseWrite:
			if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite() // of one that broke; the reader tells
				wrote()
			}
		case *boxlitev1.SocketRequest_Close:
			return nil
		default:
			return invalid("use a library of the agent's version", "the request is of no known kind")
		}
	}
}

func (c *socket) write(p []byte) error {
	_, err := c.conn.Write(p)
	if c.datagrams && err != nil {
		return ignorable(err)
	}
	return err
}
