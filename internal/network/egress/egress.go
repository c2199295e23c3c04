// Package egress opens connections from the host to where a guest's flows go: directly,
// or through the upstream proxy that the host's user must use. It never resolves names:
// what it dials are addresses, and only a proxy is told a name.
package egress

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// dialTimeout is how long a connection may take to come about.
const dialTimeout = 30 * time.Second

// Dialer opens connections. The zero value dials directly.
type Dialer struct {
	// Dial replaces the network; nil is the host's own.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Proxies are asked for TCP; nil means none.
	Proxies *Proxies
}

// TCP connects to an address, whose name is given if it is known.
func (d *Dialer) TCP(ctx context.Context, addr netip.AddrPort, name string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if via := d.Proxies.For(addr, name); via != nil {
		return via.connect(ctx, d.dial, addr, name)
	}
	return d.dial(ctx, "tcp", addr.String())
}

// UDP returns a socket that is connected to an address. There is no proxy for it.
func (d *Dialer) UDP(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	return d.dial(ctx, "udp", addr.String())
}

func (d *Dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if d.Dial != nil {
		return d.Dial(ctx, network, address)
	}
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true}}
	dialer.SetMultipathTCP(false)
	return dialer.DialContext(ctx, network, address)
}

// IsHost reports whether addr is one of the host's own: a packet to it leaves with it as
// its source. No packet is sent to find that out.
func IsHost(addr netip.Addr) bool {
	if addr.IsLoopback() || addr.IsUnspecified() {
		return true
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 9)))
	if err != nil {
		return false // there is no way to it, so it is not here
	}
	defer conn.Close()
	local, ok := conn.LocalAddr().(*net.UDPAddr)
	return ok && local.AddrPort().Addr().Unmap() == addr.Unmap()
}

// HasIPv6 reports whether the host has a way to the IPv6 internet. No packet is sent.
func HasIPv6() bool {
	anywhere := netip.MustParseAddrPort("[2001:4860:4860::8888]:53")
	conn, err := net.DialUDP("udp6", nil, net.UDPAddrFromAddrPort(anywhere))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
