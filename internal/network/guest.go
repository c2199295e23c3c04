package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/boxlite-go/boxlite/internal/network/netstack"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// DialGuest connects to a port of the guest, "tcp" or "udp". The guest sees from as the
// other end, if that is an address from which packets can come to it, or else the
// gateway.
func (n *Network) DialGuest(ctx context.Context, network string, port uint16, from netip.AddrPort) (net.Conn, error) {
	source, guest := tcpip.FullAddress{}, protocol.GuestAddr4
	number := ipv4.ProtocolNumber
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	if visible(from.Addr()) {
		source = netstack.Full(from)
		if from.Addr().Is6() {
			guest, number = protocol.GuestAddr6, ipv6.ProtocolNumber
		}
	} else {
		source = tcpip.FullAddress{NIC: netstack.ID, Addr: netstack.Address(protocol.GatewayAddr4)}
	}
	to := netstack.Full(netip.AddrPortFrom(guest, port))
	switch network {
	case "tcp":
		conn, err := n.dialGuestTCP(ctx, source, to, number)
		if err != nil && source.Port != 0 && ctx.Err() == nil && !errors.Is(err, errRefused) {
			// The guest's view of the client may be taken still: it is told another.
			source = tcpip.FullAddress{NIC: netstack.ID, Addr: netstack.Address(protocol.GatewayAddr4)}
			to = netstack.Full(netip.AddrPortFrom(protocol.GuestAddr4, port))
			conn, err = n.dialGuestTCP(ctx, source, to, ipv4.ProtocolNumber)
		}
		if err != nil {
			return nil, err
		}
		return conn, nil
	case "udp":
		conn, err := gonet.DialUDP(n.stack, &source, &to, number)
		if err != nil {
			return nil, err
		}
		return conn, nil
	}
	return nil, &protocol.Error{Kind: protocol.KindInvalidArgument, Op: fmt.Sprintf("dial guest with %q", network), Hint: "the protocols are tcp and udp"}
}

// visible reports whether the guest can be told that packets come from addr.
func visible(addr netip.Addr) bool {
	return addr.IsValid() && addr.IsGlobalUnicast() && addr.Zone() == "" &&
		!protocol.Subnet4.Contains(addr) && !protocol.Subnet6.Contains(addr)
}

var errRefused = errors.New("connection refused")

// dialGuestTCP is like [gonet.DialTCPWithBind], but keeps the endpoint, for resets.
func (n *Network) dialGuestTCP(ctx context.Context, from, to tcpip.FullAddress, number tcpip.NetworkProtocolNumber) (*guestConn, error) {
	var queue waiter.Queue
	endpoint, err := n.stack.NewEndpoint(tcp.ProtocolNumber, number, &queue)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: stackError{err}}
	}
	entry, ready := waiter.NewChannelEntry(waiter.WritableEvents)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)
	if err := endpoint.Bind(from); err != nil {
		endpoint.Close()
		return nil, &net.OpError{Op: "bind", Net: "tcp", Err: stackError{err}}
	}
	err = endpoint.Connect(to)
	if _, started := err.(*tcpip.ErrConnectStarted); started {
		select {
		case <-ctx.Done():
			endpoint.Close()
			return nil, ctx.Err()
		case <-ready:
		}
		err = endpoint.LastError()
	}
	switch err.(type) {
	case nil:
		return &guestConn{TCPConn: gonet.NewTCPConn(&queue, endpoint), endpoint: endpoint}, nil
	case *tcpip.ErrConnectionRefused, *tcpip.ErrConnectionReset:
		endpoint.Close()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errRefused}
	}
	endpoint.Close()
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: stackError{err}}
}
