package local

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Lease is what a DHCP client is told beside its address, which is always the same.
type Lease struct {
	Hostname string
	Search   []string
}

// Types of DHCP messages (RFC 2132, 9.6).
const (
	dhcpDiscover = 1
	dhcpOffer    = 2
	dhcpRequest  = 3
	dhcpAck      = 5
	dhcpNak      = 6
	dhcpInform   = 8
)

const (
	udpHeader  = 8
	bootpFixed = 236 // up to the magic cookie (RFC 2131, 2)
	cookie     = "\x63\x82\x53\x63"
	leaseTime  = 24 * 60 * 60 // seconds
)

// DHCP answers a client's message.
func (l Lease) DHCP(frame []byte) []byte {
	const headers = ethernet + header.IPv4MinimumSize + udpHeader
	if len(frame) < headers+bootpFixed+len(cookie) {
		return nil
	}
	request := frame[headers:]
	const bootRequest, onEthernet, macLength = 1, 1, 6
	if request[0] != bootRequest || request[1] != onEthernet || request[2] != macLength ||
		string(request[28:34]) != string(protocol.GuestMAC) || string(request[bootpFixed:bootpFixed+4]) != cookie {
		return nil
	}
	options := readOptions(request[bootpFixed+len(cookie):])
	kind := answerTo(options, request[12:16])
	if kind == 0 {
		return nil
	}
	body := l.reply(request, kind)
	return datagram(body, kind == dhcpNak || request[10]&0x80 != 0)
}

// answerTo returns the type of the answer, or 0 for none.
func answerTo(options map[byte][]byte, client []byte) byte {
	if len(options[53]) != 1 {
		return 0
	}
	switch options[53][0] {
	case dhcpDiscover:
		return dhcpOffer
	case dhcpInform:
		return dhcpAck
	case dhcpRequest:
		if server, ok := options[54]; ok && string(server) != bytesOf(protocol.GatewayAddr4) {
			return 0 // it has chosen another server
		}
		wanted := string(client) // it renews
		if asked, ok := options[50]; ok {
			wanted = string(asked)
		}
		if wanted != bytesOf(protocol.GuestAddr4) {
			return dhcpNak
		}
		return dhcpAck
	}
	return 0
}

// reply makes a message from the request that it answers (RFC 2131, 4.3.1).
func (l Lease) reply(request []byte, kind byte) []byte {
	out := make([]byte, bootpFixed, 512)
	out[0], out[1], out[2] = 2, 1, 6
	copy(out[4:8], request[4:8])     // transaction
	copy(out[10:12], request[10:12]) // flags
	copy(out[24:44], request[24:44]) // relay, hardware address
	out = append(out, cookie...)
	out = append(out, 53, 1, kind)
	out = option(out, 54, bytesOf(protocol.GatewayAddr4))
	if kind == dhcpNak {
		return append(out, 255)
	}
	copy(out[16:20], bytesOf(protocol.GuestAddr4))
	copy(out[20:24], bytesOf(protocol.GatewayAddr4))
	out = option(out, 51, string(binary.BigEndian.AppendUint32(nil, leaseTime)))
	out = option(out, 1, "\xff\xff\xff\x00")
	out = option(out, 28, "\xc0\xa8\x7f\xff")
	out = option(out, 3, bytesOf(protocol.GatewayAddr4))
	out = option(out, 6, bytesOf(protocol.GatewayAddr4))
	out = option(out, 26, string(binary.BigEndian.AppendUint16(nil, protocol.NetworkMTU)))
	out = option(out, 12, l.Hostname)
	out = option(out, 119, domains(l.Search))
	return append(out, 255)
}

// option appends an option; none is longer than 255 bytes, and empty ones are left out.
func option(out []byte, code byte, value string) []byte {
	if value == "" || len(value) > 255 {
		return out
	}
	return append(append(out, code, byte(len(value))), value...)
}

// domains encodes names as DNS does (RFC 3397), as many as fit.
func domains(names []string) string {
	var all strings.Builder
	for _, name := range names {
		var one strings.Builder
		for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
			if label == "" || len(label) > 63 {
				one.Reset()
				break
			}
			one.WriteByte(byte(len(label)))
			one.WriteString(label)
		}
		if one.Len() == 0 || all.Len()+one.Len()+1 > 255 {
			continue
		}
		all.WriteString(one.String())
		all.WriteByte(0)
	}
	return all.String()
}

// readOptions reads options until their end, or until one does not fit.
func readOptions(b []byte) map[byte][]byte {
	options := make(map[byte][]byte)
	for len(b) > 0 && b[0] != 255 {
		if b[0] == 0 { // padding
			b = b[1:]
			continue
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			break
		}
		options[b[0]] = b[2 : 2+int(b[1])]
		b = b[2+int(b[1]):]
	}
	return options
}

// datagram wraps a message into a frame from server to client.
func datagram(body []byte, broadcast bool) []byte {
	out := make([]byte, ethernet+header.IPv4MinimumSize+udpHeader, ethernet+header.IPv4MinimumSize+udpHeader+len(body))
	out = append(out, body...)
	address(out, header.IPv4ProtocolNumber)
	to := protocol.GuestAddr4
	if broadcast {
		to = netip.AddrFrom4([4]byte{255, 255, 255, 255})
		copy(out[:6], "\xff\xff\xff\xff\xff\xff")
	}
	ipv4(out[ethernet:], protocol.GatewayAddr4, to, header.UDPProtocolNumber)
	// A checksum of zero means that there is none (RFC 768).
	header.UDP(out[ethernet+header.IPv4MinimumSize:]).Encode(&header.UDPFields{
		SrcPort: 67, DstPort: 68, Length: uint16(udpHeader + len(body)),
	})
	return out
}

func bytesOf(addr netip.Addr) string { return string(addr.AsSlice()) }
