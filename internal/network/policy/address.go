package policy

import (
	"net/netip"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// class is how far an address can be trusted not to mean something close by.
type class int

const (
	// public addresses may follow from names.
	public class = iota
	// private ones must be named by rules for addresses where an allow list is.
	private
	// metadata ones must be named by rules for nothing but them.
	metadata
	// never are those that no flow leaves the box for.
	never
)

// block is a range of addresses with a meaning of its own.
type block struct {
	prefix netip.Prefix
	class  class
	why    string
}

// blocks are looked through in order; the first that has an address counts. Ranges for
// documentation are not among them: nothing is there.
var blocks = []block{
	{protocol.Subnet4, never, "(the box's own network)"},
	{protocol.Subnet6, never, "(the box's own network)"},
	{netip.MustParsePrefix("127.0.0.0/8"), never, "(loopback)"},
	{netip.MustParsePrefix("::1/128"), never, "(loopback)"},
	{netip.MustParsePrefix("0.0.0.0/8"), never, "(unspecified address)"},
	{netip.MustParsePrefix("::/128"), never, "(unspecified address)"},
	{netip.MustParsePrefix("255.255.255.255/32"), never, "(broadcast)"},
	{netip.MustParsePrefix("224.0.0.0/4"), never, "(multicast)"},
	{netip.MustParsePrefix("ff00::/8"), never, "(multicast)"},
	{netip.MustParsePrefix("240.0.0.0/4"), never, "(reserved address)"},

	{netip.MustParsePrefix("169.254.0.0/16"), metadata, "(cloud metadata)"},         // AWS, Google, Azure, and most others
	{netip.MustParsePrefix("fe80::/10"), metadata, "(cloud metadata)"},              // OpenStack: fe80::a9fe:a9fe
	{netip.MustParsePrefix("100.100.100.200/32"), metadata, "(cloud metadata)"},     // Alibaba
	{netip.MustParsePrefix("168.63.129.16/32"), metadata, "(cloud metadata)"},       // Azure
	{netip.MustParsePrefix("192.0.0.192/32"), metadata, "(cloud metadata)"},         // Oracle
	{netip.MustParsePrefix("fd00:ec2::/32"), metadata, "(cloud metadata)"},          // AWS
	{netip.MustParsePrefix("fd20:ce::254/128"), metadata, "(cloud metadata)"},       // Google
	{netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), metadata, "(cloud metadata)"}, // Oracle
	{netip.MustParsePrefix("fd00:42::42/128"), metadata, "(cloud metadata)"},        // Scaleway

	{netip.MustParsePrefix("10.0.0.0/8"), private, "(private address)"},
	{netip.MustParsePrefix("172.16.0.0/12"), private, "(private address)"},
	{netip.MustParsePrefix("192.168.0.0/16"), private, "(private address)"},
	{netip.MustParsePrefix("fc00::/7"), private, "(private address)"},
	{netip.MustParsePrefix("fec0::/10"), private, "(private address)"},
	{netip.MustParsePrefix("100.64.0.0/10"), private, "(carrier-grade NAT)"},
	{netip.MustParsePrefix("192.0.0.0/24"), private, "(special address)"},
	{netip.MustParsePrefix("198.18.0.0/15"), private, "(special address)"},
	{netip.MustParsePrefix("100::/64"), private, "(special address)"},
}

// classify returns the block that an address is in: one of class public if in none.
func classify(addr netip.Addr) block {
	for _, b := range blocks {
		if b.prefix.Contains(addr) {
			return b
		}
	}
	return block{}
}

// worst returns the block with the highest class of the addresses.
func worst(addrs []netip.Addr) block {
	var result block
	for _, addr := range addrs {
		if b := classify(addr); b.class > result.class {
			result = b
		}
	}
	return result
}

// Prefixes of IPv6 addresses that stand for IPv4 addresses.
var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	localNAT64 = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
	compatible = netip.MustParsePrefix("::/96")
	translated = netip.MustParsePrefix("::ffff:0:0:0/96")
)

// forms returns the address itself, in its shortest form, and the IPv4 addresses that a
// router or the kernel may take it for: a packet to 64:ff9b::a9fe:a9fe may well arrive
// at 169.254.169.254. Each of them is judged.
func forms(addr netip.Addr) []netip.Addr {
	addr = addr.WithZone("").Unmap()
	all := []netip.Addr{addr}
	if !addr.Is6() {
		return all
	}
	b := addr.As16()
	add := func(x [4]byte) {
		if x[0] != 0 { // 0.0.0.0/8 is no address to go to: the form does not fit
			all = append(all, netip.AddrFrom4(x))
		}
	}
	last := [4]byte(b[12:])
	switch {
	case addr.IsUnspecified() || addr.IsLoopback():
	case nat64.Contains(addr), compatible.Contains(addr), translated.Contains(addr):
		add(last)
	case localNAT64.Contains(addr): // RFC 6052, 2.2: networks choose the length
		add([4]byte{b[6], b[7], b[9], b[10]})
		add([4]byte(b[9:13]))
		add(last)
	case sixToFour.Contains(addr):
		add([4]byte(b[2:6]))
	case teredo.Contains(addr):
		add([4]byte(b[4:8]))
		add([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})
	case [3]byte(b[9:12]) == [3]byte{0, 0x5e, 0xfe} && b[8]&^2 == 0: // ISATAP, RFC 5214
		add(last)
	}
	return all
}
