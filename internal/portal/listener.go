package portal

import (
	"fmt"
	"net"
	"sync"
)

// listener accepts the streams of one port.
type listener struct {
	session *Session
	port    uint32
	streams chan net.Conn
	once    sync.Once
	done    chan struct{}
}

// Accept waits for the next stream.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case stream := <-l.streams:
		return stream, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends listening. Streams already accepted live on.
func (l *listener) Close() error {
	l.session.mu.Lock()
	delete(l.session.listeners, l.port)
	l.session.mu.Unlock()
	l.close()
	return nil
}

func (l *listener) close() { l.once.Do(func() { close(l.done) }) }

// Addr returns the port.
func (l *listener) Addr() net.Addr { return portAddr(l.port) }

// portAddr is a port of the guest as a net.Addr.
type portAddr uint32

func (portAddr) Network() string  { return "portal" }
func (a portAddr) String() string { return fmt.Sprintf("portal:%d", uint32(a)) }
