package filter

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// craft makes a frame as the guest would, for changes by the cases.
func craft(kind uint16, payload []byte) []byte {
	b := append(slices.Clone([]byte(protocol.GatewayMAC)), protocol.GuestMAC...)
	return append(binary.BigEndian.AppendUint16(b, kind), payload...)
}

func packet4(next byte, from, to string, body []byte) []byte {
	b := make([]byte, 20, 20+len(body))
	b[0], b[8], b[9] = 0x45, 64, next
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(body)))
	copy(b[12:], netip.MustParseAddr(from).AsSlice())
	copy(b[16:], netip.MustParseAddr(to).AsSlice())
	return craft(typeIPv4, append(b, body...))
}

func packet6(next byte, from, to string, body []byte) []byte {
	b := make([]byte, 40, 40+len(body))
	b[0], b[6], b[7] = 0x60, next, 255
	binary.BigEndian.PutUint16(b[4:], uint16(len(body)))
	copy(b[8:], netip.MustParseAddr(from).AsSlice())
	copy(b[24:], netip.MustParseAddr(to).AsSlice())
	return craft(typeIPv6, append(b, body...))
}

func segment() []byte { b := make([]byte, 20); b[12] = 5 << 4; return b }

func datagram(from, to uint16) []byte {
	b := make([]byte, 12)
	binary.BigEndian.PutUint16(b, from)
	binary.BigEndian.PutUint16(b[2:], to)
	b[5] = 12
	return b
}

func message(kind byte, target string) []byte {
	b := make([]byte, 24)
	b[0] = kind
	if target != "" {
		copy(b[8:], netip.MustParseAddr(target).AsSlice())
	}
	return b
}

func with(frame []byte, change func(b []byte)) []byte {
	frame = slices.Clone(frame)
	change(frame)
	return frame
}

func arp(op byte, from string) []byte {
	b := make([]byte, 28)
	copy(b, "\x00\x01\x08\x00\x06\x04\x00")
	b[7] = op
	copy(b[8:], protocol.GuestMAC)
	copy(b[14:], netip.MustParseAddr(from).AsSlice())
	copy(b[24:], protocol.GatewayAddr4.AsSlice())
	return craft(typeARP, b)
}

const (
	me4, me6       = "192.168.127.2", "fd62:6f78:6c69:7465::2"
	gate4, gate6   = "192.168.127.1", "fd62:6f78:6c69:7465::1"
	alias4, alias6 = "192.168.127.254", "fd62:6f78:6c69:7465::fe"
	far4, far6     = "93.184.215.14", "2606:2800:21f::1"
)

func TestJudge(t *testing.T) {
	good := packet4(tcp, me4, far4, segment())
	for name, c := range map[string]struct {
		frame  []byte
		class  Class
		reason Reason
	}{
		"tcp":             {good, Stack, ""},
		"padded tcp":      {append(slices.Clone(good), 0, 0, 0), Stack, ""},
		"tcp6":            {packet6(tcp, me6, far6, segment()), Stack, ""},
		"udp":             {packet4(udp, me4, far4, datagram(1, 53)), Stack, ""},
		"udp6":            {packet6(udp, me6, far6, datagram(1, 53)), Stack, ""},
		"metadata":        {packet4(tcp, me4, "169.254.169.254", segment()), Stack, ""}, // the policy's
		"udp fragment":    {with(packet4(udp, me4, far4, datagram(1, 2)), func(b []byte) { b[20] = 0x20 }), Stack, ""},
		"udp6 fragment":   {packet6(fragment, me6, far6, []byte{udp, 0, 0, 1, 0, 0, 0, 1}), Stack, ""},
		"ping":            {packet4(icmp4, me4, far4, message(8, "")), Echo, ""},
		"ping6":           {packet6(icmp6, me6, far6, message(128, "")), Echo, ""},
		"ping gateway":    {packet4(icmp4, me4, gate4, message(8, "")), Stack, ""},
		"ping6 alias":     {packet6(icmp6, me6, alias6, message(128, "")), Stack, ""},
		"port unreach":    {packet4(icmp4, me4, far4, message(3, "")), Stack, ""},
		"arp":             {arp(1, me4), ARP, ""},
		"arp probe":       {arp(1, "0.0.0.0"), ARP, ""},
		"dhcp":            {packet4(udp, "0.0.0.0", "255.255.255.255", datagram(68, 67)), DHCP, ""},
		"dhcp renewal":    {packet4(udp, me4, gate4, datagram(68, 67)), DHCP, ""},
		"solicitation":    {packet6(icmp6, me6, "ff02::1:ff00:1", message(135, gate6)), Stack, ""},
		"link-local asks": {packet6(icmp6, "fe80::1", "ff02::1:ff00:fe", message(135, alias6)), Stack, ""},

		"empty":             {nil, Drop, Length},
		"short":             {good[:13], Drop, Length},
		"huge":              {make([]byte, 70000), Drop, Length},
		"spoofed MAC":       {with(good, func(b []byte) { b[11]++ }), Drop, SourceMAC},
		"other MAC":         {with(good, func(b []byte) { b[0] = 2; b[5]++ }), Drop, DestMAC},
		"VLAN":              {with(good, func(b []byte) { b[12], b[13] = 0x81, 0 }), Drop, EtherType},
		"QinQ":              {with(good, func(b []byte) { b[12], b[13] = 0x88, 0xa8 }), Drop, EtherType},
		"MPLS":              {with(good, func(b []byte) { b[12], b[13] = 0x88, 0x47 }), Drop, EtherType},
		"802.3":             {with(good, func(b []byte) { b[12], b[13] = 0, 46 }), Drop, EtherType},
		"version":           {with(good, func(b []byte) { b[14] = 0x65 }), Drop, Header},
		"small IHL":         {with(good, func(b []byte) { b[14] = 0x44 }), Drop, Header},
		"total too large":   {with(good, func(b []byte) { b[16] = 1 }), Drop, Header},
		"total too small":   {with(good, func(b []byte) { b[17] = 19 }), Drop, Header},
		"cut":               {good[:30], Drop, Header},
		"source routed":     {with(good, func(b []byte) { b[14] = 0x46 }), Drop, Options},
		"spoofed":           {packet4(tcp, "192.168.127.3", far4, segment()), Drop, Source},
		"spoofed gateway":   {packet4(tcp, gate4, far4, segment()), Drop, Source},
		"from loopback":     {packet4(tcp, "127.0.0.1", far4, segment()), Drop, Source},
		"spoofed6":          {packet6(tcp, far6, far6, segment()), Drop, Source},
		"unspecified tcp":   {packet4(tcp, "0.0.0.0", far4, segment()), Drop, Source},
		"loopback":          {packet4(tcp, me4, "127.0.0.1", segment()), Drop, Destination},
		"this network":      {packet4(tcp, me4, "0.0.0.0", segment()), Drop, Destination},
		"class E":           {packet4(tcp, me4, "250.1.2.3", segment()), Drop, Destination},
		"itself":            {packet4(tcp, me4, me4, segment()), Drop, Neighbour},
		"neighbour":         {packet4(tcp, me4, "192.168.127.9", segment()), Drop, Neighbour},
		"loopback6":         {packet6(tcp, me6, "::1", segment()), Drop, Destination},
		"mapped":            {packet6(tcp, me6, "::ffff:127.0.0.1", segment()), Drop, Destination},
		"multicast":         {packet4(udp, me4, "224.0.0.251", datagram(1, 5353)), Drop, Chatter},
		"broadcast":         {packet4(udp, me4, "255.255.255.255", datagram(1, 2)), Drop, Chatter},
		"igmp":              {packet4(igmp, me4, "224.0.0.22", make([]byte, 8)), Drop, Chatter},
		"router solicit":    {packet6(icmp6, "fe80::1", "ff02::2", message(133, "")), Drop, Chatter},
		"forged router":     {packet6(icmp6, "fe80::1", gate6, message(134, "")), Drop, Chatter},
		"tcp fragment":      {with(good, func(b []byte) { b[20] = 0x20 }), Drop, Fragment},
		"late tcp fragment": {with(good, func(b []byte) { b[21] = 1 }), Drop, Fragment},
		"icmp fragment":     {with(packet4(icmp4, me4, far4, message(8, "")), func(b []byte) { b[20] = 0x20 }), Drop, Fragment},
		"tcp6 fragment":     {packet6(fragment, me6, far6, []byte{tcp, 0, 0, 1, 0, 0, 0, 1}), Drop, Fragment},
		"hop-by-hop":        {packet6(0, me6, far6, make([]byte, 28)), Drop, Options},
		"routing header":    {packet6(43, me6, far6, make([]byte, 28)), Drop, Options},
		"sctp":              {packet4(132, me4, far4, make([]byte, 28)), Drop, Protocol},
		"gre":               {packet4(47, me4, far4, make([]byte, 28)), Drop, Protocol},
		"6in4":              {packet4(41, me4, far4, make([]byte, 28)), Drop, Protocol},
		"short tcp":         {packet4(tcp, me4, far4, make([]byte, 19)), Drop, Header},
		"tcp offset":        {with(good, func(b []byte) { b[46] = 0xf0 }), Drop, Header},
		"udp length":        {with(packet4(udp, me4, far4, datagram(1, 2)), func(b []byte) { b[39] = 13 }), Drop, Header},
		"redirect":          {packet4(icmp4, me4, gate4, message(5, "")), Drop, ICMPType},
		"timestamp":         {packet4(icmp4, me4, far4, message(13, "")), Drop, ICMPType},
		"arp reply":         {arp(2, me4), Drop, BadARP},
		"arp spoof":         {arp(1, gate4), Drop, Source},
		"short arp":         {arp(1, me4)[:40], Drop, Length},
	} {
		if class, reason := Judge(c.frame); class != c.class || reason != c.reason {
			t.Errorf("%s: class %d (%s), want %d (%s)", name, class, reason, c.class, c.reason)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(packet4(tcp, me4, far4, segment()))
	f.Add(packet6(icmp6, me6, far6, message(128, "")))
	f.Add(packet6(fragment, me6, far6, []byte{udp, 0, 0, 1, 0, 0, 0, 1}))
	f.Add(arp(1, me4))
	f.Add(packet4(udp, "0.0.0.0", "255.255.255.255", datagram(68, 67)))
	f.Fuzz(func(t *testing.T, frame []byte) {
		class, reason := Judge(frame)
		if (class == Drop) != (reason != "") {
			t.Fatalf("class %d, reason %q", class, reason)
		}
		Target(frame)
		if class == Drop {
			return
		}
		if [6]byte(frame[6:12]) != guestMAC {
			t.Fatal("foreign MAC")
		}
		to := Target(frame).Addr()
		if (class == Stack || class == Echo) && to.IsLoopback() {
			t.Fatalf("a packet to %s", to)
		}
	})
}
