package network

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// certificates returns those of the system, read now, and the given ones.
func certificates(pem string) (*x509.CertPool, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, &protocol.Error{Kind: protocol.KindConfig, Op: "read the system's certificates", Err: err}
	}
	if pem != "" && !roots.AppendCertsFromPEM([]byte(pem)) {
		return nil, &protocol.Error{Kind: protocol.KindInvalidArgument, Op: "read certificates", Hint: "give certificates in PEM, each from BEGIN CERTIFICATE to END CERTIFICATE"}
	}
	return roots, nil
}

// serveDNSTCP serves one connection to the gateway's port 53.
func (n *Network) serveDNSTCP(a *attempt, to netip.AddrPort) {
	f := n.serve(policy.TCP, to)
	if f == nil {
		return
	}
	defer n.end(f)
	conn, err := a.accept(f)
	if err != nil {
		return
	}
	n.dns.ServeTCP(f.ctx, conn)
}

// serve counts a flow to the gateway itself, or returns nil if there are too many.
func (n *Network) serve(p policy.Protocol, to netip.AddrPort) *flow {
	f := &flow{question: policy.Question{Kind: policy.Flow, Protocol: p, Addr: to}, own: true}
	f.ctx, f.cancel = context.WithCancel(n.ctx)
	if !n.flows.add(f) {
		f.cancel()
		return nil
	}
	n.counters.Connections.Add(1)
	n.counters.Total.Add(1)
	return f
}

// dialResolver connects to a DNS server of the host.
func (n *Network) dialResolver(ctx context.Context, network string, addr netip.AddrPort) (net.Conn, error) {
	if network == "udp" {
		return n.dialer.UDP(ctx, addr)
	}
	return n.dialer.TCP(ctx, addr, "")
}

// stackError is an error of gVisor.
type stackError struct{ tcpip.Error }

func (e stackError) Error() string { return e.String() }
