package network

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/boxlite-go/boxlite/internal/network/link"
	"github.com/boxlite-go/boxlite/internal/network/netstack"
	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// raw makes an IPv4 frame of the guest.
func raw(next byte, to string, body []byte, change func(b []byte)) []byte {
	b := append(append([]byte(protocol.GatewayMAC), protocol.GuestMAC...), 8, 0)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(20+len(body)))
	b = append(b, 0, 1, 0, 0, 64, next, 0, 0)
	b = append(append(b, protocol.GuestAddr4.AsSlice()...), netip.MustParseAddr(to).AsSlice()...)
	b = append(b, body...)
	if change != nil {
		change(b)
	}
	return b
}

// syn is a segment that asks for a connection; its checksum is right in no case.
func syn(port uint16, more ...byte) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, 4000)
	binary.BigEndian.PutUint16(b[2:], port)
	b[12], b[13], b[14] = 5<<4, 2, 0xff
	return append(b, more...)
}

func TestHostileFramesReachNobody(t *testing.T) {
	w := &world{}
	g := boot(t, Config{Dialer: w.dial})
	good := syn(80)
	frames := map[string][]byte{
		"bad length":                         make([]byte, 5),
		"foreign source MAC":                 raw(6, farAddr, good, func(b []byte) { b[6] = 2 }),
		"foreign source address":             raw(6, farAddr, good, func(b []byte) { b[29] = 77 }),
		"neither IP nor ARP":                 raw(6, farAddr, good, func(b []byte) { b[12], b[13] = 0x81, 0 }),
		"IP options or extension headers":    raw(6, farAddr, append(make([]byte, 4), good...), func(b []byte) { b[14] = 0x46 }),
		"fragment of other than UDP":         raw(6, farAddr, good, func(b []byte) { b[20] = 0x20 }),
		"destination that no gateway routes": raw(6, "127.0.0.1", good, nil),
		"no such neighbour":                  raw(6, "192.168.127.77", good, nil),
		"neither TCP, UDP nor ICMP":          raw(47, farAddr, good, nil),
		"bad IP header":                      raw(6, farAddr, good, func(b []byte) { b[17] = 200 }),
	}
	for reason, frame := range frames {
		g.frame(frame)
		if d := <-g.denied; d.Kind != "frame" || d.Rule != "("+reason+")" {
			t.Errorf("%s: told of %+v", reason, d)
		}
		if got := g.Stats().Dropped[reason]; got != 1 {
			t.Errorf("%s: counted %d times", reason, got)
		}
	}
	// Fragments that overlap, and segments without a connection, are the stack's to drop.
	for offset := range byte(40) {
		g.frame(raw(17, farAddr, bytes.Repeat([]byte{offset}, 24), func(b []byte) { b[20], b[21] = 0x20, offset }))
		g.frame(raw(6, farAddr, bytes.Repeat([]byte{0x50 | offset&15}, 20+int(offset)), nil))
	}
	g.frame(raw(1, protocol.GatewayAddr4.String(), bytes.Repeat([]byte{3}, 60), nil)) // an error for nothing
	if len(w.asked) != 0 {
		t.Errorf("dialed %v", w.asked)
	}
	if got := g.Stats().Total; got != 0 {
		t.Errorf("%d flows began", got)
	}
}

func TestCloudMetadataIsRefused(t *testing.T) {
	w := &world{}
	g := boot(t, Config{Dialer: w.dial})
	for _, addr := range []string{"169.254.169.254:80", "[fd00:ec2::254]:80"} {
		if _, err := g.dial(t, netip.MustParseAddrPort(addr)); err == nil {
			t.Errorf("%s was reached", addr)
		}
	}
	if len(w.asked) != 0 {
		t.Errorf("dialed %v", w.asked)
	}
}

func TestDeniedUDPIsUnreachable(t *testing.T) {
	g := boot(t, Config{Policy: policy.Config{Deny: []string{"192.0.2.0/24"}}})
	var queue waiter.Queue
	endpoint, err := g.stack.NewEndpoint(udp.ProtocolNumber, ipv4.ProtocolNumber, &queue)
	if err != nil {
		t.Fatal(err)
	}
	defer endpoint.Close()
	entry, failed := waiter.NewChannelEntry(waiter.EventErr)
	queue.EventRegister(&entry)
	if err := endpoint.Connect(netstack.Full(netip.MustParseAddrPort("192.0.2.1:9"))); err != nil {
		t.Fatal(err)
	}
	if _, err := endpoint.Write(bytes.NewReader([]byte("x")), tcpip.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	<-failed
	if _, refused := endpoint.LastError().(*tcpip.ErrConnectionRefused); !refused {
		t.Error("the guest was not told")
	}
	if d := <-g.denied; d.Protocol != policy.UDP || d.Rule != "192.0.2.0/24" {
		t.Errorf("told of %+v", d)
	}
}

func TestCloseWhileEverythingIsUnderWay(t *testing.T) {
	port := listen(t, echoServer)
	g := boot(t, allowHost(port))
	g.frame(raw(6, protocol.HostAliasAddr4.String(), syn(port), nil)) // a handshake that nobody ends
	conn := g.mustDial(t, alias(port))
	io.WriteString(conn, "x")
	io.ReadFull(conn, make([]byte, 1))
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Publish(Port{GuestPort: 1}); err == nil {
		t.Error("published a port after the end")
	}
}

func TestCloseWithoutServe(t *testing.T) {
	n, err := New(Config{Ports: []Port{{GuestPort: 80}}}, discard, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(n.Ports()) != 1 || n.Ports()[0].HostPort == 0 {
		t.Errorf("ports %v", n.Ports())
	}
	for range 2 {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestCapture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "box.pcap")
	port := listen(t, echoServer)
	cfg := allowHost(port)
	cfg.Capture = path
	g := boot(t, cfg)
	conn := g.mustDial(t, alias(port))
	io.WriteString(conn, "remarkable")
	io.ReadFull(conn, make([]byte, 10))
	conn.Close()
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	frames, rest := 0, all[24:]
	for len(rest) > 16 {
		size := binary.LittleEndian.Uint32(rest[8:])
		if size > link.MaxFrame || int(size) > len(rest)-16 {
			t.Fatalf("frame %d has %d bytes", frames, size)
		}
		rest = rest[16+size:]
		frames++
	}
	if frames < 6 || len(rest) != 0 || bytes.Count(all, []byte("remarkable")) != 2 {
		t.Errorf("%d frames, %d bytes more, %d with the text", frames, len(rest), bytes.Count(all, []byte("remarkable")))
	}
}

func TestBadConfigs(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for name, cfg := range map[string]Config{
		"rule":    {Policy: policy.Config{Allow: []string{"not a rule"}}},
		"server":  {Servers: []string{"dns.example.com"}},
		"proxy":   {HTTPSProxy: "ftp://example.com"},
		"ca":      {CACerts: "none"},
		"port":    {Ports: []Port{{HostPort: addrPort(listener.Addr()).Port(), GuestPort: 80}}},
		"capture": {Capture: "/nonexistent/x"},
	} {
		if n, err := New(cfg, discard, nil); err == nil {
			n.Close()
			t.Errorf("%s: accepted", name)
		} else if protocol.KindOf(err) == protocol.KindInternal {
			t.Errorf("%s: %v has no kind", name, err)
		}
	}
}
