package protocol

import (
	"net"
	"net/netip"
)

// The network of a box: one link, with the guest at one end and the host's stack,
// which is gateway, DNS and DHCP server, at the other. Every box has the same
// addresses, as no box can reach another's link.
const (
	// NetworkMTU is the largest packet, headers of IP included. The link is memory
	// of one machine, so the fewer packets the better; 65,520 is what fits into a
	// frame of 64 KiB whose payload is aligned to 16 bytes.
	NetworkMTU = 65520
	// NetworkInterface is what the guest calls the link.
	NetworkInterface = "eth0"
	// HostAlias is the name by which a box reaches the host's loopback, where a
	// policy allows that.
	HostAlias = "host.boxlite.internal"
	// GatewayName is the gateway's name.
	GatewayName = "gateway.boxlite.internal"
)

// The addresses on the link.
var (
	GuestAddr4     = netip.MustParseAddr("192.168.127.2")
	GatewayAddr4   = netip.MustParseAddr("192.168.127.1")
	HostAliasAddr4 = netip.MustParseAddr("192.168.127.254")
	Subnet4        = netip.MustParsePrefix("192.168.127.0/24")

	GuestAddr6     = netip.MustParseAddr("fd62:6f78:6c69:7465::2")
	GatewayAddr6   = netip.MustParseAddr("fd62:6f78:6c69:7465::1")
	HostAliasAddr6 = netip.MustParseAddr("fd62:6f78:6c69:7465::fe")
	Subnet6        = netip.MustParsePrefix("fd62:6f78:6c69:7465::/64")
)

// The hardware addresses on the link. They are not to be changed.
var (
	GuestMAC   = net.HardwareAddr{0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xee}
	GatewayMAC = net.HardwareAddr{0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xdd}
)
