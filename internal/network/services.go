package network

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/boxlite-go/boxlite/internal/network/dns"
	"github.com/boxlite-go/boxlite/internal/network/egress"
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
type stackError struct{ err tcpip.Error }

// Error returns what gVisor says.
func (e stackError) Error() string { return e.err.String() }

// resolvConf is where the host says which DNS servers it uses.
const resolvConf = "/etc/resolv.conf"

// newDNS makes the DNS server, and returns the search domains for the guest.
func (n *Network) newDNS() (*dns.Server, []string, error) {
	source, err := dns.NewSource(resolvConf, nil)
	if err != nil {
		return nil, nil, &protocol.Error{Kind: protocol.KindConfig, Op: "read the host's DNS servers", Err: err}
	}
	options := dns.Options{
		Resolvers: source.Servers, Search: source.Search, Dial: n.dialResolver, Policy: n.policy.Load,
		Static: map[string][]netip.Addr{
			protocol.HostAlias:   {protocol.HostAliasAddr4, protocol.HostAliasAddr6},
			protocol.GatewayName: {protocol.GatewayAddr4, protocol.GatewayAddr6},
		},
		Lookup: n.lookupPeer,
		IPv6:   egress.HasIPv6,
		NoECH:  n.replacesServers,
		Denied: func(name, _, rule string) {
			n.denials.Add(Denial{Kind: "dns", Name: name, Rule: rule})
		},
	}
	if n.cfg.Servers != nil {
		servers, err := parseServers(n.cfg.Servers)
		if err != nil {
			return nil, nil, err
		}
		options.Resolvers = func() []netip.AddrPort { return servers }
	}
	if n.cfg.Search != nil {
		options.Search = func() []string { return n.cfg.Search }
	}
	return dns.New(options), options.Search(), nil
}

func parseServers(texts []string) ([]netip.AddrPort, error) {
	var servers []netip.AddrPort
	for _, text := range texts {
		server, err := ParseServer(text)
		if err != nil {
			return nil, &protocol.Error{Kind: protocol.KindInvalidArgument, Op: "set dns servers", Hint: "give addresses, such as 1.1.1.1 or [2606:4700:4700::1111]:53", Err: err}
		}
		servers = append(servers, server)
	}
	return servers, nil
}

// ParseServer reads the address of a name server, with or without a port.
func ParseServer(text string) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(addr, dnsPort), nil
	}
	server, err := netip.ParseAddrPort(text)
	if err != nil || server.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("%.100q is not the address of a name server", text)
	}
	return server, nil
}
