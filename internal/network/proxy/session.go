package proxy

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/network/sniff"
)

const (
	// maxStreams is how many requests a guest may have at one time in a connection.
	maxStreams = 100
	// maxHead is the most that the head of a request or response may be.
	maxHead = 256 << 10
	// quiet is how long a guest may say nothing in TLS, where no protocol was agreed on,
	// before the server is taken to be the one that speaks first.
	quiet = 3 * time.Second
)

// session is one connection of the guest, with those to the server that it needs.
type session struct {
	proxy *Proxy
	flow  Flow
	name  string // canonical; empty for plain HTTP
	tls   bool

	upstream upstream
	requests gate
}

// ServeTLS serves a connection that begins with a ClientHello for f.Name, to its end, and
// closes it.
func (p *Proxy) ServeTLS(ctx context.Context, conn net.Conn, f Flow) {
	defer conn.Close()
	name, err := policy.Canonical(f.Name)
	if err != nil {
		return // it was no name to look into
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	s := &session{proxy: p, flow: f, name: name, tls: true}
	s.upstream.open(s)
	defer s.close()

	var other *tls.Conn // for a protocol that is not HTTP
	defer func() {
		if other != nil {
			other.Close()
		}
	}()
	guest := &closing{Conn: conn, done: make(chan struct{})}
	secure := tls.Server(guest, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if asked, err := policy.Canonical(hello.ServerName); err != nil || asked != name {
				return nil, errOtherName
			}
			config, err := p.authority.config(name)
			if err != nil || len(hello.SupportedProtos) == 0 || speaksHTTP(hello.SupportedProtos) {
				return config, err
			}
			if other, err = s.upstream.dialTLS(hello.Context(), hello.SupportedProtos); err != nil {
				return nil, err
			}
			config = config.Clone()
			config.NextProtos = nil
			if chosen := other.ConnectionState().NegotiatedProtocol; chosen != "" {
				config.NextProtos = []string{chosen}
			}
			return config, nil
		},
	})
	if err := handshake(ctx, secure); err != nil {
		p.log.Debug("no TLS with the guest", "name", name, "err", err)
		return
	}
	switch {
	case other != nil:
		s.tunnel(secure, other)
	case secure.ConnectionState().NegotiatedProtocol != "":
		s.serve(ctx, secure, guest)
	default:
		s.serveUnknown(ctx, secure, guest)
	}
}

// ServeHTTP serves a connection with HTTP/1 in clear text to its end, and closes it.
func (p *Proxy) ServeHTTP(ctx context.Context, conn net.Conn, f Flow) {
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	s := &session{proxy: p, flow: f}
	s.upstream.open(s)
	defer s.close()
	guest := &closing{Conn: conn, done: make(chan struct{})}
	s.serve(ctx, guest, guest)
}

// serve serves HTTP on conn, which is guest or runs on it.
func (s *session) serve(ctx context.Context, conn net.Conn, guest *closing) {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(s.tls)
	server := &http.Server{
		Handler: http.HandlerFunc(s.handle), Protocols: &protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ReadHeaderTimeout: handshakeTimeout, MaxHeaderBytes: maxHead,
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		ErrorLog:                     log.New(lines{s.proxy}, "", 0),
		DisableGeneralOptionsHandler: true,
	}
	if !s.tls {
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	}
	_ = server.Serve(&single{conn: conn, guest: guest}) // it always ends with the connection
}

// close ends what the session has, when the guest's connection has ended.
func (s *session) close() {
	s.upstream.close()
	s.requests.close()
	s.upstream.close() // of requests that were still there
}

// serveUnknown serves a connection for which no protocol was agreed on: HTTP/1, or bytes.
func (s *session) serveUnknown(ctx context.Context, secure *tls.Conn, guest *closing) {
	conn := &peeked{Conn: secure}
	_ = secure.SetReadDeadline(time.Now().Add(quiet))
	kind, err := conn.peek()
	_ = secure.SetReadDeadline(time.Time{}) // if it is closed, reading tells
	timeout, ok := err.(net.Error)
	isQuiet := ok && timeout.Timeout()
	switch {
	case err != nil && !isQuiet:
		secure.Close()
	case kind == sniff.HTTP:
		s.serve(ctx, conn, guest)
	case kind == sniff.HTTP2:
		secure.Close() // its requests could not be looked into
	default:
		server, err := s.upstream.dialTLS(ctx, nil)
		if err != nil {
			s.proxy.log.Debug("no TLS with the server", "name", s.name, "why", reason(err))
			secure.Close()
			return
		}
		s.tunnel(conn, server)
	}
}

// tunnel copies between two connections, ends included, and closes both.
func (s *session) tunnel(guest, server halfConn) {
	var wait sync.WaitGroup
	pass := func(to, from halfConn) {
		if _, err := io.Copy(to, from); err != nil {
			guest.Close()
			server.Close()
			return
		}
		_ = to.CloseWrite() // who reads from it finds out
	}
	wait.Go(func() { pass(guest, server) })
	wait.Go(func() { pass(server, guest) })
	wait.Wait()
	guest.Close()
	server.Close()
}

// halfConn is a connection that can be ended in one direction.
type halfConn interface {
	net.Conn
	CloseWrite() error
}

// handshake makes TLS, in good time.
func handshake(ctx context.Context, conn *tls.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	return conn.HandshakeContext(ctx)
}

func speaksHTTP(protocols []string) bool {
	for _, p := range protocols {
		if p == "h2" || p == "http/1.1" {
			return true
		}
	}
	return false
}

// lines is where a server of net/http writes its messages.
type lines struct{ proxy *Proxy }

// Write logs a message, in which there may be anything.
func (l lines) Write(b []byte) (int, error) {
	l.proxy.log.Debug("server for the guest", "err", l.proxy.secrets.all.String(string(b)))
	return len(b), nil
}
