package socket

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

const (
	// chunk is how much is sent at once, of a stream.
	chunk = 64 << 10
	// closeTimeout is how long what was written before Close may take to get to the
	// peer. Then it is lost.
	closeTimeout = 10 * time.Second
)

// conn is a connection in a box. Two goroutines serve the gRPC stream, which has no
// deadlines; Read and Write wait for them as long as they may.
type conn struct {
	network       string
	local, remote net.Addr
	stream        socketStream
	cut           context.CancelFunc

	readDeadline, writeDeadline deadline

	reading sync.Mutex // one Read at a time
	rest    []byte     // of the last data, not yet read
	data    chan []byte
	ended   chan struct{} // closed when readErr is there, and no data will come
	readErr error

	writing  sync.Mutex // one Write at a time
	requests chan *request
	unsent   chan struct{} // closed when writeErr is there, and nothing is taken any more
	writeErr error
	fail     sync.Once // closes unsent

	closed, readClosed, writeClosed       chan struct{}
	closeOnce, closeReadOnce, closeWrOnce sync.Once
}

func newConn(network string, opened *boxlitev1.SocketOpened, stream socketStream, cut context.CancelFunc) *conn {
	c := &conn{
		network: network, stream: stream, cut: cut,
		local: addrOf(network, opened.GetLocal()), remote: addrOf(network, opened.GetRemote()),
		data: make(chan []byte), ended: make(chan struct{}), requests: make(chan *request), unsent: make(chan struct{}),
		closed: make(chan struct{}), readClosed: make(chan struct{}), writeClosed: make(chan struct{}),
	}
	go c.receive()
	go c.send()
	return c
}

// receive hands over what comes, until the stream ends.
func (c *conn) receive() {
	defer c.cut()
	end := sync.OnceFunc(func() { close(c.ended) })
	for {
		r, err := c.stream.Recv()
		if err != nil {
			if c.readErr == nil {
				c.readErr = c.explain(err)
			}
			end()
			c.failWrites(c.explain(err))
			return
		}
		switch kind := r.GetKind().(type) {
		case *boxlitev1.SocketResponse_Data:
			select {
			case c.data <- kind.Data:
			case <-c.readClosed:
			case <-c.closed:
			}
		case *boxlitev1.SocketResponse_End:
			if c.readErr == nil {
				c.readErr = io.EOF
			}
			end()
		case *boxlitev1.SocketResponse_WriteFailed:
			c.failWrites(rpc.FromDetail(kind.WriteFailed))
		}
	}
}

// explain returns why the stream ended: nil from the agent means that both sides had.
func (c *conn) explain(err error) error {
	if err == io.EOF {
		return io.EOF
	}
	return rpc.FromStatus(err)
}

func (c *conn) failWrites(err error) {
	if err == io.EOF {
		err = io.ErrClosedPipe
	}
	c.fail.Do(func() {
		c.writeErr = err
		close(c.unsent)
	})
}

// errBroken is why nothing can be written once the stream has ended. Why that is, Read
// tells.
var errBroken = &protocol.Error{Kind: protocol.KindNetwork, Err: errors.New("the connection is broken")}

// send sends what Write hands over, until Close.
func (c *conn) send() {
	closing := false
	for !closing {
		select {
		case r := <-c.requests:
			if err := c.stream.Send(r); err != nil {
				c.failWrites(errBroken) // the receiver may not know yet, while nobody reads
			}
		case <-c.closed:
			closing = true
		case <-c.unsent:
			<-c.closed
			closing = true
		}
	}
	_ = c.stream.Send(&request{Kind: &boxlitev1.SocketRequest_Close{Close: true}})
	_ = c.stream.CloseSend()
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if err := c.mayRead(); err != nil {
		return 0, c.failed("read", err)
	}
	if len(p) == 0 {
		return 0, nil
	}
	for len(c.rest) == 0 {
		select {
		case c.rest = <-c.data:
			if c.datagrams() {
				n := copy(p, c.rest) // the rest is lost, as it is of any datagram
				c.rest = nil
				return n, nil
			}
		case <-c.ended:
			return 0, c.failed("read", c.readErr)
		case <-c.readDeadline.done():
			return 0, c.failed("read", os.ErrDeadlineExceeded)
		case <-c.closed:
			return 0, c.failed("read", net.ErrClosed)
		case <-c.readClosed:
			return 0, io.EOF
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *conn) mayRead() error {
	switch {
	case isClosed(c.closed):
		return net.ErrClosed
	case isClosed(c.readDeadline.done()):
		return os.ErrDeadlineExceeded
	case isClosed(c.readClosed):
		return io.EOF
	}
	return nil
}

// Write implements net.Conn. It returns when all is on its way.
func (c *conn) Write(p []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	for first := true; first || n < len(p); first = false {
		part := p[n:]
		if !c.datagrams() {
			if len(p) == 0 {
				return 0, nil
			}
			part = part[:min(len(part), chunk)]
		}
		// The stream may still hold it when the caller uses p again.
		r := &request{Kind: &boxlitev1.SocketRequest_Data{Data: append([]byte(nil), part...)}}
		if err := c.hand(r); err != nil {
			return n, c.failed("write", err)
		}
		n += len(part)
	}
	return n, nil
}

// hand gives a request to the sender.
func (c *conn) hand(r *request) error {
	switch {
	case isClosed(c.closed), isClosed(c.writeClosed):
		return net.ErrClosed
	case isClosed(c.writeDeadline.done()):
		return os.ErrDeadlineExceeded
	case isClosed(c.unsent):
		return c.writeErr
	}
	select {
	case c.requests <- r:
		return nil
	case <-c.unsent:
		return c.writeErr
	case <-c.writeDeadline.done():
		return os.ErrDeadlineExceeded
	case <-c.closed:
		return net.ErrClosed
	}
}

// failed returns an error as package net has it. The end is no error.
func (c *conn) failed(op string, err error) error {
	if err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: c.network, Source: c.local, Addr: c.remote, Err: err}
}

func (c *conn) datagrams() bool { return strings.HasPrefix(c.network, "udp") }

// Close implements net.Conn. What has been written is delivered in the background.
func (c *conn) Close() error {
	err := c.failed("close", net.ErrClosed)
	c.closeOnce.Do(func() {
		err = nil
		close(c.closed)
		c.readDeadline.set(time.Time{})
		c.writeDeadline.set(time.Time{})
		timer := time.AfterFunc(closeTimeout, c.cut)
		context.AfterFunc(c.stream.Context(), func() { timer.Stop() })
	})
	return err
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.readDeadline, t) }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.writeDeadline, t) }

func (c *conn) setDeadline(d *deadline, t time.Time) error {
	if isClosed(c.closed) {
		return c.failed("set", net.ErrClosed)
	}
	d.set(t)
	return nil
}

// half is a connection whose sides can be closed one at a time: all but datagrams.
type half struct{ *conn }

// CloseWrite tells the peer that nothing more comes, after what was written.
func (c half) CloseWrite() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	err := c.hand(&request{Kind: &boxlitev1.SocketRequest_CloseWrite{CloseWrite: true}})
	if err != nil {
		return c.failed("close", err)
	}
	c.closeWrOnce.Do(func() { close(c.writeClosed) })
	return nil
}

// CloseRead drops what still comes. Read returns io.EOF from then on; the peer does
// not learn of it.
func (c half) CloseRead() error {
	if isClosed(c.closed) {
		return c.failed("close", net.ErrClosed)
	}
	c.closeReadOnce.Do(func() { close(c.readClosed) })
	return nil
}

// public returns the connection with what its network has.
func (c *conn) public() net.Conn {
	if c.datagrams() {
		return c
	}
	return half{c}
}
