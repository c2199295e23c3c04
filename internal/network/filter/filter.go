// Package filter judges frames from a guest before the network stack sees them.
//
// The guest may craft any frame it likes. [Judge] knows the few sorts that a guest has
// reason to send, with the addresses that are its own, and refuses all others: the stack
// then only parses what is well-formed, and nobody is told that the guest is somebody
// else. Whether a flow may go where it goes is not asked here.
package filter

import (
	"encoding/binary"
	"net/netip"

	"github.com/boxlite-go/boxlite/internal/network/link"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Class is what becomes of a frame.
type Class uint8

const (
	// Drop means that the frame must go nowhere. It is the zero value.
	Drop Class = iota
	// Stack is a packet for the network stack.
	Stack
	// ARP is a well-formed request for a hardware address.
	ARP
	// DHCP is an IPv4 packet for a DHCP server.
	DHCP
	// Echo is an ICMP or ICMPv6 echo request to somewhere behind the gateway.
	Echo
)

// Reason says why a frame was dropped, in words for users.
type Reason string

// The reasons.
const (
	Length      Reason = "bad length"
	SourceMAC   Reason = "foreign source MAC"
	DestMAC     Reason = "foreign destination MAC"
	EtherType   Reason = "neither IP nor ARP"
	BadARP      Reason = "bad ARP"
	Header      Reason = "bad IP header"
	Source      Reason = "foreign source address"
	Destination Reason = "destination that no gateway routes"
	Neighbour   Reason = "no such neighbour"
	Options     Reason = "IP options or extension headers"
	Fragment    Reason = "fragment of other than UDP"
	Protocol    Reason = "neither TCP, UDP nor ICMP"
	ICMPType    Reason = "ICMP other than echo"
	// Chatter is what every system sends to find neighbours, and that nobody here
	// answers: multicast and broadcast. It is nothing to tell of.
	Chatter Reason = "multicast or broadcast"
)

const (
	ethernet = 14

	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd

	icmp4    = 1
	igmp     = 2
	tcp      = 6
	udp      = 17
	fragment = 44
	icmp6    = 58
)

var (
	guestMAC   = [6]byte(protocol.GuestMAC)
	gatewayMAC = [6]byte(protocol.GatewayMAC)
)

// Judge returns what becomes of a frame, and if that is [Drop], why.
func Judge(frame []byte) (Class, Reason) {
	if len(frame) < ethernet || len(frame) > link.MaxFrame {
		return Drop, Length
	}
	if [6]byte(frame[6:12]) != guestMAC {
		return Drop, SourceMAC
	}
	if to := [6]byte(frame[0:6]); to != gatewayMAC && to[0]&1 == 0 {
		return Drop, DestMAC
	}
	payload := frame[ethernet:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case typeARP:
		return judgeARP(payload)
	case typeIPv4:
		return judgeIPv4(payload)
	case typeIPv6:
		return judgeIPv6(payload)
	}
	return Drop, EtherType
}

// judgeARP accepts requests (RFC 826) from the guest's address, or from none: such ask
// whether an address is free (RFC 5227).
func judgeARP(b []byte) (Class, Reason) {
	if len(b) < 28 {
		return Drop, Length
	}
	const ethernetIPv4Request = "\x00\x01\x08\x00\x06\x04\x00\x01"
	if string(b[:8]) != ethernetIPv4Request || [6]byte(b[8:14]) != guestMAC {
		return Drop, BadARP
	}
	if from := netip.AddrFrom4([4]byte(b[14:18])); from != protocol.GuestAddr4 && !from.IsUnspecified() {
		return Drop, Source
	}
	return ARP, ""
}

// Target returns where a frame's packet goes, if it is one.
func Target(frame []byte) netip.AddrPort {
	if len(frame) < ethernet {
		return netip.AddrPort{}
	}
	b := frame[ethernet:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case typeIPv4:
		if len(b) >= 20 {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:20])), port(b[9], b[20:]))
		}
	case typeIPv6:
		if len(b) >= 40 {
			return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:40])), port(b[6], b[40:]))
		}
	}
	return netip.AddrPort{}
}

func port(next byte, b []byte) uint16 {
	if (next != tcp && next != udp) || len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint16(b[2:])
}
