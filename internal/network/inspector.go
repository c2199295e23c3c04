package network

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"slices"

	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/network/proxy"
)

// inspector speaks TLS and HTTP with the guest in the server's place, for destinations
// whose requests are looked into one by one.
type inspector interface {
	// CA returns the certificate of the box's own authority, PEM.
	CA() []byte
	// Intercepts reports whether TLS with a destination is looked into, InterceptsPort
	// whether that can be so at a port, and InterceptsHTTP whether plain HTTP is.
	Intercepts(name string, port uint16) bool
	InterceptsPort(port uint16) bool
	InterceptsHTTP(port uint16) bool
	// ServeTLS and ServeHTTP serve a connection to its end, and close it.
	ServeTLS(ctx context.Context, conn net.Conn, f inspected)
	ServeHTTP(ctx context.Context, conn net.Conn, f inspected)
}

// inspected is a flow that is looked into.
type inspected struct {
	Addr   netip.AddrPort // where it goes
	Name   string         // what is known of the name
	Names  []string       // by which the address was looked up
	Check  func(host string) policy.Decision
	Denied func(host, rule string)
}

// openInspector makes the inspector, if there is something to look into.
func (n *Network) openInspector(roots *x509.CertPool) error {
	if !n.cfg.InspectTLS && len(n.cfg.Secrets) == 0 && len(n.cfg.Policy.Allow)+len(n.cfg.Policy.Deny) == 0 {
		return nil
	}
	p, err := proxy.New(proxy.Options{
		Secrets: n.cfg.Secrets, Roots: roots, Log: n.log,
		Dial: func(ctx context.Context, f proxy.Flow, name string) (net.Conn, error) { return n.dialer.TCP(ctx, f.Addr, name) },
	})
	if err != nil {
		return err
	}
	n.inspector = looking{p}
	return nil
}

// looking is a proxy as inspector.
type looking struct{ *proxy.Proxy }

func (l looking) ServeTLS(ctx context.Context, conn net.Conn, f inspected) {
	l.Proxy.ServeTLS(ctx, conn, proxy.Flow(f))
}

func (l looking) ServeHTTP(ctx context.Context, conn net.Conn, f inspected) {
	l.Proxy.ServeHTTP(ctx, conn, proxy.Flow(f))
}

// withSecrets adds what allows the hosts of secrets, where there is an allow list.
func (n *Network) withSecrets(c policy.Config) policy.Config {
	if len(c.Allow) == 0 {
		return c
	}
	c.Allow = slices.Clone(c.Allow)
	for _, s := range n.cfg.Secrets {
		c.Allow = append(c.Allow, s.Rules()...)
	}
	return c
}

func (n *Network) intercepts(name string, port uint16) bool {
	return n.inspector != nil && name != "" && (n.cfg.InspectTLS || n.inspector.Intercepts(name, port))
}

func (n *Network) interceptsPort(port uint16) bool {
	return n.inspector != nil && (n.inspector.InterceptsPort(port) || n.cfg.InspectTLS && port == httpsPort)
}
