package shim

import (
	"net"
	"sync"
)

// unusedConns is a listener that knows which of its connections nobody has used
// yet. A client connects to see whether the shim is there, and may never ask it
// anything; gRPC's server, on its way out, would wait two minutes for it to begin.
type unusedConns struct {
	net.Listener

	mu    sync.Mutex
	conns map[*unusedConn]struct{}
	over  bool
}

func (l *unusedConns) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &unusedConn{Conn: conn, listener: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		_ = conn.Close()
		return c, nil // the next Accept fails
	}
	if l.conns == nil {
		l.conns = make(map[*unusedConn]struct{})
	}
	l.conns[c] = struct{}{}
	return c, nil
}

// closeUnused closes what nobody uses, from now on too.
func (l *unusedConns) closeUnused() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	for c := range l.conns {
		_ = c.Conn.Close()
	}
	l.conns = nil
}

// unusedConn is a connection that counts as unused until the first byte comes.
type unusedConn struct {
	net.Conn
	listener *unusedConns
	once     sync.Once
}

func (c *unusedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.once.Do(c.forget)
	return n, err
}

func (c *unusedConn) Close() error {
	c.once.Do(c.forget)
	return c.Conn.Close()
}

func (c *unusedConn) forget() {
	c.listener.mu.Lock()
	delete(c.listener.conns, c)
	c.listener.mu.Unlock()
}
