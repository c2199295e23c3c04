// Package local answers the frames that need no network stack: ARP requests, DHCP, and
// echo requests whose answer came from elsewhere. Every function takes a frame that
// package filter has judged to be of that sort, and returns the frame to send, or nil.
// None keeps any state: there is one guest, and its address is always the same.
package local

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

const (
	ethernet = header.EthernetMinimumSize
	ttl      = 64
)

// ARP answers a request for the hardware address of the gateway or the host's alias.
// There are no others.
func ARP(frame []byte) []byte {
	if len(frame) < ethernet+header.ARPSize {
		return nil
	}
	request := header.ARP(frame[ethernet:])
	target := netip.AddrFrom4([4]byte(request.ProtocolAddressTarget()))
	if target != protocol.GatewayAddr4 && target != protocol.HostAliasAddr4 {
		return nil
	}
	out := make([]byte, ethernet+header.ARPSize)
	address(out, header.ARPProtocolNumber)
	reply := header.ARP(out[ethernet:])
	reply.SetIPv4OverEthernet()
	reply.SetOp(header.ARPReply)
	copy(reply.HardwareAddressSender(), protocol.GatewayMAC)
	copy(reply.ProtocolAddressSender(), request.ProtocolAddressTarget())
	copy(reply.HardwareAddressTarget(), request.HardwareAddressSender())
	copy(reply.ProtocolAddressTarget(), request.ProtocolAddressSender())
	return out
}

// Ping is an echo request.
type Ping struct {
	Addr    netip.Addr
	ID, Seq uint16
	Payload []byte // part of the frame
}

// Echo reads an echo request, IPv4 or IPv6.
func Echo(frame []byte) (p Ping, ok bool) {
	if len(frame) < ethernet+header.IPv4MinimumSize+header.ICMPv4MinimumSize {
		return p, false
	}
	var body []byte
	switch packet := frame[ethernet:]; header.Ethernet(frame).Type() {
	case header.IPv4ProtocolNumber:
		total := int(header.IPv4(packet).TotalLength())
		if total < header.IPv4MinimumSize || total > len(packet) {
			return p, false
		}
		p.Addr = netip.AddrFrom4([4]byte(packet[16:20]))
		body = packet[header.IPv4MinimumSize:total]
	case header.IPv6ProtocolNumber:
		if len(packet) < header.IPv6MinimumSize {
			return p, false
		}
		total := header.IPv6MinimumSize + int(header.IPv6(packet).PayloadLength())
		if total > len(packet) {
			return p, false
		}
		p.Addr = netip.AddrFrom16([16]byte(packet[24:40]))
		body = packet[header.IPv6MinimumSize:total]
	}
	if len(body) < 8 {
		return p, false
	}
	p.ID, p.Seq = binary.BigEndian.Uint16(body[4:]), binary.BigEndian.Uint16(body[6:])
	p.Payload = body[8:]
	return p, true
}

// Reply makes the answer to an echo request.
func (p Ping) Reply() []byte {
	if p.Addr.Is4() {
		out := make([]byte, ethernet+header.IPv4MinimumSize+header.ICMPv4MinimumSize+len(p.Payload))
		address(out, header.IPv4ProtocolNumber)
		ipv4(out[ethernet:], p.Addr, protocol.GuestAddr4, header.ICMPv4ProtocolNumber)
		message := p.message(out[ethernet+header.IPv4MinimumSize:], byte(header.ICMPv4EchoReply))
		binary.BigEndian.PutUint16(message[2:], ^checksum.Checksum(message, 0))
		return out
	}
	out := make([]byte, ethernet+header.IPv6MinimumSize+header.ICMPv6EchoMinimumSize+len(p.Payload))
	address(out, header.IPv6ProtocolNumber)
	from, to := tcpip.AddrFrom16(p.Addr.As16()), tcpip.AddrFrom16(protocol.GuestAddr6.As16())
	header.IPv6(out[ethernet:]).Encode(&header.IPv6Fields{
		PayloadLength:     uint16(len(out) - ethernet - header.IPv6MinimumSize),
		TransportProtocol: header.ICMPv6ProtocolNumber, HopLimit: ttl, SrcAddr: from, DstAddr: to,
	})
	message := p.message(out[ethernet+header.IPv6MinimumSize:], byte(header.ICMPv6EchoReply))
	sum := header.PseudoHeaderChecksum(header.ICMPv6ProtocolNumber, from, to, uint16(len(message)))
	binary.BigEndian.PutUint16(message[2:], ^checksum.Checksum(message, sum))
	return out
}

func (p Ping) message(b []byte, kind byte) []byte {
	b[0] = kind
	binary.BigEndian.PutUint16(b[4:], p.ID)
	binary.BigEndian.PutUint16(b[6:], p.Seq)
	copy(b[8:], p.Payload)
	return b
}

// address writes the Ethernet header of a frame to the guest.
func address(frame []byte, kind tcpip.NetworkProtocolNumber) {
	header.Ethernet(frame).Encode(&header.EthernetFields{
		SrcAddr: tcpip.LinkAddress(protocol.GatewayMAC), DstAddr: tcpip.LinkAddress(protocol.GuestMAC), Type: kind,
	})
}

// ipv4 writes the header of the packet b.
func ipv4(b []byte, from, to netip.Addr, next tcpip.TransportProtocolNumber) {
	h := header.IPv4(b)
	h.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(b)), TTL: ttl, Protocol: uint8(next),
		SrcAddr: tcpip.AddrFrom4(from.As4()), DstAddr: tcpip.AddrFrom4(to.As4()),
	})
	h.SetChecksum(^h.CalculateChecksum())
}
