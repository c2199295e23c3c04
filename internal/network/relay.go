package network

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
)

// Buffers of two sizes: an idle connection holds two small ones, a busy one large ones.
const (
	smallBuffer = 16 << 10
	largeBuffer = 256 << 10
	// calm is after how many reads that a small buffer could hold a large one is given up.
	calm = 16
)

var (
	smallBuffers = sync.Pool{New: func() any { b := make([]byte, smallBuffer); return &b }}
	largeBuffers = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}
)

// guestConn is a TCP connection with the guest.
type guestConn struct {
	*gonet.TCPConn
	endpoint tcpip.Endpoint
}

// reset ends a connection so that its other end gets an error.
func reset(conn net.Conn) {
	switch c := conn.(type) {
	case nil:
		return
	case *guestConn:
		c.endpoint.Abort()
	case interface{ SetLinger(int) error }:
		_ = c.SetLinger(0) // a connection that is closed already
	}
	conn.Close()
}

// relay passes on what each of two connections says, ends included, until both have
// ended or one fails. It closes both.
func relay(guest, server net.Conn, up, down *atomic.Int64) {
	failed := make(chan error, 1)
	go func() { failed <- pass(guest, server, down) }()
	finish(guest, server, pass(server, guest, up), failed)
}

// finish waits for the other direction of a relay. If one fails, there is nobody whom the
// other could serve.
func finish(guest, server net.Conn, err error, other <-chan error) {
	if err != nil {
		reset(guest)
		reset(server)
		<-other
		return
	}
	if err := <-other; err != nil {
		reset(guest)
		reset(server)
		return
	}
	guest.Close()
	server.Close()
}

// pass copies from one connection to another until the end, which it passes on. If the
// source fails, both are reset: the destination's reader would wait forever.
func pass(to, from net.Conn, count *atomic.Int64) error {
	if err := copyAll(to, from, count); err != nil {
		reset(to)
		reset(from)
		return err
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // whoever reads from it finds out if it has failed
	}
	return nil
}

func copyAll(to, from net.Conn, count *atomic.Int64) error {
	pool := &smallBuffers
	buf := pool.Get().(*[]byte)
	defer func() { pool.Put(buf) }()
	for quiet := 0; ; {
		n, err := from.Read(*buf)
		if n > 0 {
			count.Add(int64(n))
			if _, err := to.Write((*buf)[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		quiet++
		if n > smallBuffer/2 {
			quiet = 0
		}
		if pool == &smallBuffers && n == smallBuffer {
			pool.Put(buf)
			pool = &largeBuffers
			buf = pool.Get().(*[]byte)
		} else if pool == &largeBuffers && quiet >= calm {
			pool.Put(buf)
			pool = &smallBuffers
			buf = pool.Get().(*[]byte)
		}
	}
}
