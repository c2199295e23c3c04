//go:build linux

package network

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// tap sees all packets that arrive at an interface.
type tap struct {
	mu      sync.Mutex
	arrived map[string]int // "tcp 192.0.2.1:80" → packets
	changed *sync.Cond
}

// newTap must be called on a thread in the interface's network.
func newTap(name string) (*tap, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	all := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL}) // in network order
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(socket, &unix.SockaddrLinklayer{Protocol: all, Ifindex: i.Index}); err != nil {
		return nil, err
	}
	t := &tap{arrived: make(map[string]int)}
	t.changed = sync.NewCond(&t.mu)
	go t.watch(socket)
	return t, nil
}

// watch runs as long as the process.
func (t *tap) watch(socket int) {
	frame := make([]byte, 128<<10)
	for {
		n, from, err := unix.Recvfrom(socket, frame, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if key := packetKey(frame[:n]); key != "" {
			t.mu.Lock()
			t.arrived[key]++
			t.changed.Broadcast()
			t.mu.Unlock()
		}
	}
}

// packetKey tells where a frame goes: "" if it is not IP, or only keeps the link going.
func packetKey(f []byte) string {
	if len(f) < 34 {
		return ""
	}
	var to netip.Addr
	var protocol byte
	var rest []byte
	switch binary.BigEndian.Uint16(f[12:]) {
	case unix.ETH_P_IP:
		header := int(f[14]&15) * 4
		to, protocol, rest = netip.AddrFrom4([4]byte(f[30:34])), f[23], f[min(14+header, len(f)):]
	case unix.ETH_P_IPV6:
		if len(f) < 54 {
			return ""
		}
		to, protocol, rest = netip.AddrFrom16([16]byte(f[38:54])), f[20], f[54:]
	case unix.ETH_P_ARP:
		return ""
	default:
		return fmt.Sprintf("ethertype %#x", binary.BigEndian.Uint16(f[12:]))
	}
	port := func() string {
		if len(rest) < 4 {
			return to.String()
		}
		return netip.AddrPortFrom(to, binary.BigEndian.Uint16(rest[2:])).String()
	}
	switch protocol {
	case unix.IPPROTO_TCP:
		return "tcp " + port()
	case unix.IPPROTO_UDP:
		return "udp " + port()
	case unix.IPPROTO_ICMPV6:
		if to.IsMulticast() || to.IsLinkLocalUnicast() || len(rest) > 0 && rest[0] >= 133 && rest[0] <= 137 {
			return "" // neighbours
		}
		return "icmp " + to.String()
	case unix.IPPROTO_ICMP:
		return "icmp " + to.String()
	case unix.IPPROTO_HOPOPTS:
		if to.IsMulticast() {
			return "" // the host's own listener reports
		}
	}
	return fmt.Sprintf("protocol %d %s", protocol, to)
}

// reset forgets what has arrived so far.
func (t *tap) reset(tb testing.TB) {
	t.list(tb)
	t.mu.Lock()
	clear(t.arrived)
	t.mu.Unlock()
}

// list returns where packets have arrived that were sent before it was called.
func (t *tap) list(tb testing.TB) []string {
	tb.Helper()
	// What is sent last arrives last: a marker says that all before is counted.
	var random [2]byte
	_, _ = rand.Read(random[:])
	marker := net.JoinHostPort(worldIP, fmt.Sprint(20000+int(binary.BigEndian.Uint16(random[:]))%20000))
	conn, err := net.Dial("udp", marker)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	t.mu.Lock()
	before := t.arrived["udp "+marker]
	t.mu.Unlock()
	if _, err := conn.Write([]byte("marker")); err != nil {
		tb.Fatal(err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.arrived["udp "+marker] == before {
		t.changed.Wait()
	}
	delete(t.arrived, "udp "+marker)
	var keys []string
	for key := range t.arrived {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// except returns what has arrived elsewhere than at the places named.
func (t *tap) except(tb testing.TB, places ...string) []string {
	tb.Helper()
	return slices.DeleteFunc(t.list(tb), func(key string) bool {
		// The world answers pings and resets by itself; only what it got counts.
		return slices.Contains(places, key)
	})
}
