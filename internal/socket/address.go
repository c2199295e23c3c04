package socket

import (
	"net"
	"net/netip"
	"strings"
)

// addrOf returns an address in a box in the form that package net has for it.
func addrOf(network, text string) net.Addr {
	if network == "unix" {
		return &net.UnixAddr{Net: network, Name: text}
	}
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		return &net.UnixAddr{Net: network, Name: text} // whatever the agent calls it
	}
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	if strings.HasPrefix(network, "udp") {
		return net.UDPAddrFromAddrPort(a)
	}
	return net.TCPAddrFromAddrPort(a)
}
