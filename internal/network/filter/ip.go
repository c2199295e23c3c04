package filter

import (
	"encoding/binary"
	"net/netip"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// judgeIPv4 judges a packet (RFC 791). Bytes after its end are padding of the frame.
func judgeIPv4(b []byte) (Class, Reason) {
	if len(b) < 20 || b[0]>>4 != 4 || b[0]&15 < 5 {
		return Drop, Header
	}
	total := int(binary.BigEndian.Uint16(b[2:]))
	if total < int(b[0]&15)*4 || total > len(b) {
		return Drop, Header
	}
	next := b[9]
	from, to := netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	if next == igmp {
		return Drop, Chatter
	}
	if b[0]&15 != 5 {
		return Drop, Options
	}
	body := b[20:total]
	fragmented := binary.BigEndian.Uint16(b[6:])&0x3fff != 0 // more follow, or an offset
	if next == udp && !fragmented && isDHCP(from, to, body) {
		return DHCP, ""
	}
	if from != protocol.GuestAddr4 {
		return Drop, Source
	}
	if reason := routable4(to); reason != "" {
		return Drop, reason
	}
	if fragmented {
		if next != udp {
			return Drop, Fragment
		}
		return Stack, ""
	}
	return judgeTransport(next, icmp4, body, to == protocol.GatewayAddr4 || to == protocol.HostAliasAddr4)
}

// isDHCP reports whether a UDP packet is from a DHCP client to its server.
func isDHCP(from, to netip.Addr, b []byte) bool {
	return len(b) >= 8 && binary.BigEndian.Uint16(b) == 68 && binary.BigEndian.Uint16(b[2:]) == 67 &&
		(from == protocol.GuestAddr4 || from == netip.IPv4Unspecified()) &&
		(to == protocol.GatewayAddr4 || to == netip.AddrFrom4([4]byte{255, 255, 255, 255}))
}

// routable4 returns why no gateway forwards a packet to an address, or "".
func routable4(to netip.Addr) Reason {
	first := to.As4()[0]
	switch {
	case to == protocol.GatewayAddr4, to == protocol.HostAliasAddr4:
		return ""
	case to.IsMulticast(), to.As4() == [4]byte{255, 255, 255, 255}, to.As4() == [4]byte{192, 168, 127, 255}:
		return Chatter
	case first == 0, first == 127, first >= 240:
		return Destination
	case protocol.Subnet4.Contains(to):
		return Neighbour
	}
	return ""
}

// judgeIPv6 judges a packet (RFC 8200). Of the extension headers, only a fragment's is
// let through, and only directly before UDP: nothing that guests do needs others.
func judgeIPv6(b []byte) (Class, Reason) {
	if len(b) < 40 || b[0]>>4 != 6 {
		return Drop, Header
	}
	size := int(binary.BigEndian.Uint16(b[4:]))
	if size > len(b)-40 {
		return Drop, Header
	}
	next, body := b[6], b[40:40+size]
	from, to := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	if next == icmp6 && isSolicitation(from, to, b[7], body) {
		return Stack, ""
	}
	if to.IsMulticast() || to.IsLinkLocalUnicast() || from.IsLinkLocalUnicast() {
		return Drop, Chatter
	}
	if from != protocol.GuestAddr6 {
		return Drop, Source
	}
	if reason := routable6(to); reason != "" {
		return Drop, reason
	}
	switch next {
	case fragment:
		if len(body) < 8 || body[0] != udp {
			return Drop, Fragment
		}
		return Stack, ""
	case 0, 43, 50, 51, 60, 135, 139, 140, 253, 254:
		return Drop, Options
	}
	return judgeTransport(next, icmp6, body, to == protocol.GatewayAddr6 || to == protocol.HostAliasAddr6)
}

// isSolicitation reports whether an ICMPv6 message asks for the hardware address of one
// of ours, or is the answer to such a question (RFC 4861).
func isSolicitation(from, to netip.Addr, hops byte, b []byte) bool {
	if hops != 255 || len(b) < 24 || (b[0] != 135 && b[0] != 136) || b[1] != 0 {
		return false
	}
	if from != protocol.GuestAddr6 && !from.IsLinkLocalUnicast() {
		return false
	}
	of := netip.AddrFrom16([16]byte(b[8:24]))
	if b[0] == 136 {
		return of == protocol.GuestAddr6 && to == protocol.GatewayAddr6
	}
	return of == protocol.GatewayAddr6 || of == protocol.HostAliasAddr6
}

// routable6 is like [routable4].
func routable6(to netip.Addr) Reason {
	switch {
	case to == protocol.GatewayAddr6, to == protocol.HostAliasAddr6:
		return ""
	case to.IsUnspecified(), to.IsLoopback(), to.Is4In6():
		return Destination
	case protocol.Subnet6.Contains(to):
		return Neighbour
	}
	return ""
}

// judgeTransport judges what is in a whole packet. Local means that it goes to an address
// of ours.
func judgeTransport(next, icmp byte, b []byte, local bool) (Class, Reason) {
	switch next {
	case tcp:
		if len(b) < 20 || int(b[12]>>4)*4 < 20 || int(b[12]>>4)*4 > len(b) {
			return Drop, Header
		}
		return Stack, ""
	case udp:
		if len(b) < 8 {
			return Drop, Header
		}
		if n := int(binary.BigEndian.Uint16(b[4:])); n < 8 || n > len(b) {
			return Drop, Header
		}
		return Stack, ""
	case icmp:
		return judgeICMP(icmp, b, local)
	}
	return Drop, Protocol
}

// judgeICMP lets echo requests through, and the guest's refusals of packets.
func judgeICMP(icmp byte, b []byte, local bool) (Class, Reason) {
	if len(b) < 8 {
		return Drop, Header
	}
	echo, unreachable := byte(8), byte(3)
	if icmp == icmp6 {
		echo, unreachable = 128, 1
	}
	switch {
	case b[0] == unreachable, b[0] == echo && local:
		return Stack, ""
	case b[0] == echo && b[1] == 0:
		return Echo, ""
	}
	return Drop, ICMPType
}
