package sockets

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

func invalid(hint, format string, args ...any) error {
	return &protocol.Error{Kind: protocol.KindInvalidArgument, Err: fmt.Errorf(format, args...), Hint: hint}
}

// targets returns what an address for TCP or UDP stands for. Names are not looked
// up: what the guest says of a name is not what the host would want to rely on.
func targets(a *boxlitev1.SocketAddress) ([]netip.AddrPort, error) {
	switch a.GetNetwork() {
	case "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6":
	default:
		return nil, invalid("use tcp, udp or unix", "there is no network %.40q in a box", a.GetNetwork())
	}
	host, port, err := net.SplitHostPort(a.GetAddress())
	if err != nil {
		return nil, invalid("write it as HOST:PORT", "%.100q is no address", a.GetAddress())
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, invalid("use a number up to 65535", "there is no port %.40q", port)
	}
	var hosts []netip.Addr
	switch host {
	case "", "localhost":
		hosts = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	default:
		addr, err := netip.ParseAddr(host)
		if err != nil {
			return nil, invalid("use localhost or an IP address", "%.100q is not an address in a box", host)
		}
		hosts = []netip.Addr{addr}
	}
	var all []netip.AddrPort
	for _, host := range hosts {
		if network := a.GetNetwork(); network[len(network)-1] == '4' && !host.Is4() || network[len(network)-1] == '6' && !host.Is6() {
			continue
		}
		all = append(all, netip.AddrPortFrom(host, uint16(number)))
	}
	if len(all) == 0 {
		return nil, invalid("leave out the 4 or 6", "%s is not an address of %s", host, a.GetNetwork())
	}
	return all, nil
}
