package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/boxlite-go/boxlite/internal/network/policy"
)

// idleTimeout is how long a connection to a server that nothing needs is kept, as long as
// the guest's is there.
const idleTimeout = 90 * time.Second

// upstream has the connections of one session to its server. They are the session's own:
// when it ends, so do they, and a guest that was refused can use none of another.
type upstream struct {
	session *session
	// http1 is for requests in HTTP/1, and http2 for those in HTTP/2: what the server
	// speaks to the guest is what it speaks to us, as far as it can.
	http1, http2 *http.Transport

	mu     sync.Mutex
	conns  map[*tracked]struct{}
	closed bool
}

func (u *upstream) open(s *session) {
	u.session = s
	u.conns = make(map[*tracked]struct{})
	u.http1, u.http2 = u.transport(false), u.transport(true)
}

func (u *upstream) transport(isHTTP2 bool) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(isHTTP2)
	t := &http.Transport{
		DialContext:         func(ctx context.Context, _, address string) (net.Conn, error) { return u.dial(ctx, u.nameIn(address)) },
		TLSClientConfig:     u.config(nil),
		TLSHandshakeTimeout: handshakeTimeout, ExpectContinueTimeout: time.Second,
		DisableCompression: true, Protocols: &protocols,
		MaxIdleConnsPerHost: maxStreams, IdleConnTimeout: idleTimeout,
		MaxResponseHeaderBytes: maxHead,
	}
	if !isHTTP2 {
		t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	}
	return t
}

func (u *upstream) config(protocols []string) *tls.Config {
	return &tls.Config{
		ServerName: u.session.name, RootCAs: u.session.proxy.roots, MinVersion: tls.VersionTLS12,
		ClientSessionCache: u.session.proxy.sessions, NextProtos: protocols,
	}
}

// nameIn returns the name by which the server is to be reached: that of TLS, or else the
// one of the request, if the server's address was looked up by it. Any other would let the
// guest choose where a proxy of the host connects to.
func (u *upstream) nameIn(address string) string {
	if u.session.tls {
		return u.session.name
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	name, err := policy.Canonical(host)
	if err != nil || !u.session.knows(name) {
		return ""
	}
	return name
}

// dial connects to the server.
func (u *upstream) dial(ctx context.Context, name string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn, err := u.session.proxy.dial(ctx, u.session.flow, name)
	if err != nil {
		return nil, &dialError{err}
	}
	t := &tracked{Conn: conn, upstream: u}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	u.conns[t] = struct{}{}
	return t, nil
}

// dialTLS connects to the server for a protocol that is not HTTP.
func (u *upstream) dialTLS(ctx context.Context, protocols []string) (*tls.Conn, error) {
	conn, err := u.dial(ctx, u.session.name)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, u.config(protocols))
	if err := handshake(ctx, secure); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// close closes all connections, for good.
func (u *upstream) close() {
	u.mu.Lock()
	conns := u.conns
	u.conns, u.closed = nil, true
	u.mu.Unlock()
	for conn := range conns {
		conn.Conn.Close()
	}
	u.http1.CloseIdleConnections()
	u.http2.CloseIdleConnections()
}

// tracked is a connection that its upstream closes.
type tracked struct {
	net.Conn
	upstream *upstream
}

// Close closes the connection.
func (t *tracked) Close() error {
	t.upstream.mu.Lock()
	delete(t.upstream.conns, t)
	t.upstream.mu.Unlock()
	return t.Conn.Close()
}

// CloseWrite ends what is written.
func (t *tracked) CloseWrite() error {
	if half, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// dialError is that no connection came about.
type dialError struct{ err error }

// Error returns why.
func (e *dialError) Error() string { return "connect: " + e.err.Error() }

// Unwrap returns the cause.
func (e *dialError) Unwrap() error { return e.err }

// reason says what went wrong with a server. What the server said is not in it: there
// could be a secret in that.
func reason(err error) string {
	var dial *dialError
	var timeout net.Error
	var verification *tls.CertificateVerificationError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &verification):
		return "its certificate is not valid: " + certificateReason(verification)
	case errors.As(err, &dial):
		return dial.err.Error()
	case errors.As(err, &record):
		return "it does not speak TLS"
	case errors.As(err, &alert):
		return "it refused TLS: " + alert.Error()
	case errors.Is(err, context.Canceled):
		return "the request was canceled"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "it did not answer in time"
	}
	return "it did not answer as it should, or ended the connection"
}

// certificateReason says what is wrong with a certificate, but not what is written in it.
func certificateReason(err *tls.CertificateVerificationError) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "no authority that is trusted has signed it"
	case errors.As(err, &name):
		return "it is for another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "it has expired or is not valid yet"
	}
	return "it can't be verified"
}
