package local

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// request makes a client's message.
func request(kind byte, options ...byte) []byte {
	body := make([]byte, bootpFixed)
	body[0], body[1], body[2] = 1, 1, 6
	copy(body[4:], "xid!")
	copy(body[28:], protocol.GuestMAC)
	body = append(append(body, cookie...), 53, 1, kind)
	body = append(append(body, options...), 255)
	return append(make([]byte, ethernet+header.IPv4MinimumSize+udpHeader), body...)
}

func TestDHCP(t *testing.T) {
	l := Lease{Hostname: "box", Search: []string{"corp.example", "example.net."}}
	mine := []byte{50, 4, 192, 168, 127, 2}
	for name, c := range map[string]struct {
		frame []byte
		want  byte // type of the answer
	}{
		"discover":      {request(dhcpDiscover), dhcpOffer},
		"request":       {request(dhcpRequest, mine...), dhcpAck},
		"inform":        {request(dhcpInform), dhcpAck},
		"other address": {request(dhcpRequest, 50, 4, 10, 0, 0, 1), dhcpNak},
		"other server":  {request(dhcpRequest, append(mine, 54, 4, 10, 0, 0, 1)...), 0},
		"release":       {request(7), 0},
		"cut option":    {request(dhcpDiscover, 50, 200), dhcpOffer},
		"short":         {request(dhcpDiscover)[:200], 0},
	} {
		reply := l.DHCP(c.frame)
		if c.want == 0 {
			if reply != nil {
				t.Errorf("%s: answered", name)
			}
			continue
		}
		if reply == nil {
			t.Errorf("%s: not answered", name)
			continue
		}
		packet := header.IPv4(reply[ethernet:])
		if !packet.IsValid(len(packet)) || !packet.IsChecksumValid() {
			t.Errorf("%s: bad packet", name)
		}
		body := reply[ethernet+header.IPv4MinimumSize+udpHeader:]
		options := readOptions(body[bootpFixed+len(cookie):])
		if options[53][0] != c.want || string(body[4:8]) != "xid!" {
			t.Errorf("%s: answer %v", name, options)
		}
		if c.want == dhcpNak {
			continue
		}
		if string(body[16:20]) != bytesOf(protocol.GuestAddr4) || string(options[6]) != bytesOf(protocol.GatewayAddr4) ||
			binary.BigEndian.Uint16(options[26]) != protocol.NetworkMTU || string(options[12]) != "box" ||
			string(options[119]) != "\x04corp\x07example\x00\x07example\x03net\x00" {
			t.Errorf("%s: options %v", name, options)
		}
	}
}

func TestARP(t *testing.T) {
	ask := func(of netip.Addr) []byte {
		frame := make([]byte, ethernet+header.ARPSize)
		h := header.ARP(frame[ethernet:])
		h.SetIPv4OverEthernet()
		h.SetOp(header.ARPRequest)
		copy(h.HardwareAddressSender(), protocol.GuestMAC)
		copy(h.ProtocolAddressSender(), protocol.GuestAddr4.AsSlice())
		copy(h.ProtocolAddressTarget(), of.AsSlice())
		return frame
	}
	for _, addr := range []netip.Addr{protocol.GatewayAddr4, protocol.HostAliasAddr4} {
		reply := ARP(ask(addr))
		if reply == nil {
			t.Fatalf("%s: no answer", addr)
		}
		h := header.ARP(reply[ethernet:])
		if !h.IsValid() || h.Op() != header.ARPReply || !bytes.Equal(h.HardwareAddressSender(), protocol.GatewayMAC) ||
			!bytes.Equal(h.ProtocolAddressSender(), addr.AsSlice()) || !bytes.Equal(reply[:6], protocol.GuestMAC) {
			t.Errorf("%s: answer %x", addr, reply)
		}
	}
	if ARP(ask(netip.MustParseAddr("192.168.127.9"))) != nil {
		t.Error("answered for a neighbour that does not exist")
	}
}

func TestEchoReply(t *testing.T) {
	for _, addr := range []string{"192.0.2.1", "2001:db8::1"} {
		want := Ping{Addr: netip.MustParseAddr(addr), ID: 7, Seq: 9, Payload: []byte("odd")}
		got, ok := Echo(swap(want.Reply()))
		if !ok || got.Addr != want.Addr || got.ID != 7 || got.Seq != 9 || string(got.Payload) != "odd" {
			t.Errorf("%s: %+v", addr, got)
		}
	}
}

// swap exchanges the addresses of a packet, to read a reply as a request.
func swap(frame []byte) []byte {
	packet := frame[ethernet:]
	from, to, size := 12, 16, 4
	if header.IPVersion(packet) == 6 {
		from, to, size = 8, 24, 16
	}
	kept := bytes.Clone(packet[from : from+size])
	copy(packet[from:], packet[to:to+size])
	copy(packet[to:], kept)
	return frame
}

func FuzzAnswers(f *testing.F) {
	f.Add(request(dhcpDiscover))
	f.Add(Ping{Addr: netip.MustParseAddr("2001:db8::1"), Payload: []byte("x")}.Reply())
	f.Fuzz(func(t *testing.T, frame []byte) {
		ARP(frame)
		Lease{Search: []string{"a.example"}}.DHCP(frame)
		if ping, ok := Echo(frame); ok {
			ping.Reply()
		}
	})
}
