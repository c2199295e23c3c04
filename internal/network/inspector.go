package network

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"

	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/protocol"
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
	Check  func(host string) policy.Decision
	Denied func(host, rule string)
}

// openInspector makes the inspector.
func (n *Network) openInspector(*x509.CertPool) error {
	if n.cfg.InspectTLS {
		return &protocol.Error{Kind: protocol.KindUnsupported, Op: "inspect tls", Err: errors.New("not available yet")}
	}
	return nil
}

func (n *Network) intercepts(name string, port uint16) bool {
	return n.inspector != nil && name != "" && (n.cfg.InspectTLS || n.inspector.Intercepts(name, port))
}

func (n *Network) interceptsPort(port uint16) bool {
	return n.inspector != nil && (n.inspector.InterceptsPort(port) || n.cfg.InspectTLS && port == httpsPort)
}
