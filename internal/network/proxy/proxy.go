package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// handshakeTimeout is how long a TLS handshake or the head of a request may take.
const handshakeTimeout = 30 * time.Second

// Options are what a proxy needs.
type Options struct {
	Secrets []Secret
	// Roots verify servers; nil means the system's, which are read now.
	Roots *x509.CertPool
	// Dial connects to where a flow goes. Name is what is known of its name.
	Dial func(ctx context.Context, f Flow, name string) (net.Conn, error)
	// Log gets what went wrong, without any content; nil is nobody.
	Log *slog.Logger
}

// Flow is a connection of the guest.
type Flow struct {
	// Addr is where it goes.
	Addr netip.AddrPort
	// Name is the name in the ClientHello; empty for plain HTTP.
	Name string
	// Names are those that Addr was looked up by. Without TLS, only these get secrets:
	// any server may claim any name.
	Names []string
	// Check decides about the host of a request.
	Check func(host string) policy.Decision
	// Denied is told of requests that were refused.
	Denied func(host, rule string)
}

// Proxy is the proxy of one box. Its methods may be called by several goroutines.
type Proxy struct {
	dial  func(ctx context.Context, f Flow, name string) (net.Conn, error)
	roots *x509.CertPool
	log   *slog.Logger

	authority *authority
	secrets   *table
	sessions  tls.ClientSessionCache // with servers
	memory    *semaphore.Weighted    // of the bodies that are held at one time
}

// New makes a proxy, and its authority.
func New(o Options) (*Proxy, error) {
	p := &Proxy{
		dial: o.Dial, roots: o.Roots, log: o.Log,
		sessions: tls.NewLRUClientSessionCache(256), memory: semaphore.NewWeighted(maxHeld),
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	secrets, err := compile(o.Secrets)
	if err != nil {
		return nil, err
	}
	p.secrets = secrets
	if p.roots == nil {
		roots, err := x509.SystemCertPool()
		if err != nil {
			return nil, &protocol.Error{Kind: protocol.KindConfig, Op: "read the system's certificates", Err: err}
		}
		p.roots = roots
	}
	a, err := newAuthority(time.Now)
	if err != nil {
		return nil, &protocol.Error{Kind: protocol.KindInternal, Op: "make the box's authority", Err: err}
	}
	p.authority = a
	return p, nil
}

// CA returns the certificate of the box's authority, PEM.
func (p *Proxy) CA() []byte { return p.authority.pem }

// Intercepts reports whether a secret is for TLS with a name at a port.
func (p *Proxy) Intercepts(name string, port uint16) bool {
	canonical, err := policy.Canonical(name)
	return err == nil && p.secrets.any(func(h host) bool { return h.is(canonical, port, false) })
}

// InterceptsPort reports whether a secret is for a host at a port.
func (p *Proxy) InterceptsPort(port uint16) bool {
	return p.secrets.any(func(h host) bool { return h.port == port })
}

// InterceptsHTTP reports whether a secret is for a host at a port without TLS.
func (p *Proxy) InterceptsHTTP(port uint16) bool {
	return p.secrets.any(func(h host) bool { return h.port == port && h.plain })
}

// parsePort reads a port's number.
func parsePort(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && n != 0
}
