package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/boxlite-go/boxlite/internal/network/sniff"
)

var errOtherName = errors.New("another name than the one that was looked into")

// single is a listener with one connection. When that is closed, there is no more.
type single struct {
	conn  net.Conn
	guest *closing
	given bool
}

// Accept returns the connection, and the second time waits for its end.
func (l *single) Accept() (net.Conn, error) {
	if !l.given {
		l.given = true
		return l.conn, nil
	}
	<-l.guest.done
	return nil, net.ErrClosed
}

// Close does nothing: the connection is not the listener's.
func (l *single) Close() error { return nil }

// Addr returns the address that the guest connected to.
func (l *single) Addr() net.Addr { return l.conn.LocalAddr() }

// closing is a connection that tells when it is closed by its user.
type closing struct {
	net.Conn
	once sync.Once
	done chan struct{}
}

// Close closes the connection.
func (c *closing) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.done) })
	return err
}

// CloseWrite ends what is written, so that its reader gets all of it even if there is
// something left that nobody read.
func (c *closing) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// peeked is a connection of which something was read ahead. As it is no *tls.Conn itself,
// net/http speaks HTTP/1 on it.
type peeked struct {
	*tls.Conn
	ahead []byte
}

// peek reads until it is known what the other end speaks.
func (p *peeked) peek() (sniff.Kind, error) {
	buf := make([]byte, 4<<10)
	for len(p.ahead) < sniff.Max {
		n, err := p.Conn.Read(buf)
		p.ahead = append(p.ahead, buf[:n]...)
		if kind, more := sniff.Classify(p.ahead); len(p.ahead) > 0 && !more {
			return kind, nil
		}
		if errors.Is(err, io.EOF) && len(p.ahead) > 0 {
			return sniff.Unknown, nil
		}
		if err != nil {
			return sniff.Unknown, err
		}
	}
	return sniff.Unknown, nil
}

// Read reads what was read ahead, and then on.
func (p *peeked) Read(b []byte) (int, error) {
	if len(p.ahead) > 0 {
		n := copy(b, p.ahead)
		p.ahead = p.ahead[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// gate counts what is under way, until it is closed.
type gate struct {
	mu     sync.Mutex
	inside sync.WaitGroup
	closed bool
}

// enter returns false if the gate is closed. Otherwise leave must follow.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside.Add(1)
	return true
}

func (g *gate) leave() { g.inside.Done() }

// close lets nothing in any more, and waits until nothing is inside.
func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.inside.Wait()
}
