package main

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// wire is the network card, below the kernel's IP.
type wire struct {
	socket int
	index  int
	mac    net.HardwareAddr
}

var gatewayMAC, _ = net.ParseMAC("5a:94:ef:e4:0c:dd")

func openWire() (*wire, error) {
	i, err := net.InterfaceByName("eth0")
	if err != nil {
		return nil, err
	}
	all := int(binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL}))
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all)
	if err != nil {
		return nil, err
	}
	timeout := unix.Timeval{Sec: 2}
	if err := unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return nil, err
	}
	return &wire{socket, i.Index, i.HardwareAddr}, nil
}

func (w *wire) close() { _ = unix.Close(w.socket) }

func (w *wire) send(frame string) error {
	return unix.Sendto(w.socket, []byte(frame), 0, &unix.SockaddrLinklayer{Ifindex: w.index, Halen: 6})
}

func (w *wire) receive(frame []byte) (int, error) {
	n, _, err := unix.Recvfrom(w.socket, frame, 0)
	return n, err
}

// ethernet is a frame to the gateway.
func (w *wire) ethernet(kind int, payload string) string {
	return string(gatewayMAC) + string(w.mac) + short(kind) + payload
}

// packet is an IP packet. The zero value of what is optional is what is usual.
type packet struct {
	from, to string
	protocol int
	payload  string
	options  string // of IPv4, in words
	fragment int    // flags and offset, as in the header
	id       int
}

// bytes returns an IPv4 packet.
func (p packet) bytes() string {
	words := 5 + len(p.options)/4
	header := []byte{byte(0x40 | words), 0, 0, 0, 0, 0, 0, 0, 64, byte(p.protocol), 0, 0}
	binary.BigEndian.PutUint16(header[2:], uint16(words*4+len(p.payload)))
	binary.BigEndian.PutUint16(header[4:], uint16(p.id))
	binary.BigEndian.PutUint16(header[6:], uint16(p.fragment))
	from, to := netip.MustParseAddr(p.from).As4(), netip.MustParseAddr(p.to).As4()
	header = append(append(append(header, from[:]...), to[:]...), p.options...)
	binary.BigEndian.PutUint16(header[10:], checksum(string(header)))
	return string(header) + p.payload
}

// bytes6 returns an IPv6 packet.
func (p packet) bytes6() string {
	from, to := netip.MustParseAddr(p.from).As16(), netip.MustParseAddr(p.to).As16()
	return "\x60\x00\x00\x00" + short(len(p.payload)) + string([]byte{byte(p.protocol), 64}) + string(from[:]) + string(to[:]) + p.payload
}

func checksum(text string) uint16 {
	if len(text)%2 == 1 {
		text += "\x00"
	}
	var sum uint32
	for i := 0; i < len(text); i += 2 {
		sum += uint32(text[i])<<8 | uint32(text[i+1])
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// pseudo is what checksums of transport protocols begin with.
func pseudo(from, to string, protocol, size int) string {
	a, b := netip.MustParseAddr(from), netip.MustParseAddr(to)
	return string(a.AsSlice()) + string(b.AsSlice()) + short(0) + short(protocol) + short(0) + short(size)
}

func udp(from, to string, source, port int, data string) string {
	head := short(source) + short(port) + short(8+len(data))
	sum := checksum(pseudo(from, to, unix.IPPROTO_UDP, 8+len(data)) + head + short(0) + data)
	return head + short(int(sum)) + data
}

func tcp(from, to string, source, port int, seq, ack uint32, flags byte, data string) string {
	header := binary.BigEndian.AppendUint32([]byte(short(source)+short(port)), seq)
	header = binary.BigEndian.AppendUint32(header, ack)
	header = append(header, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0)
	sum := checksum(pseudo(from, to, unix.IPPROTO_TCP, len(header)+len(data)) + string(header) + data)
	binary.BigEndian.PutUint16(header[16:], sum)
	return string(header) + data
}

func icmp(kind, code byte, rest string) string {
	text := string([]byte{kind, code, 0, 0}) + rest
	sum := checksum(text)
	return string([]byte{kind, code, byte(sum >> 8), byte(sum)}) + text[4:]
}

func pad(text string, size int) string { return text + strings.Repeat("p", max(0, size-len(text))) }
