// Package netstack sets gVisor's network stack up for one end of a link.
//
// A [NIC] is the stack's network card: it takes frames with Deliver and queues those
// that the stack sends until Transmit passes them on. [New] makes the stack itself. The
// host's end accepts every address, as it plays the whole world to the guest; tests use
// the same code for the guest's end.
package netstack

import (
	"fmt"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// ID is the one NIC's number.
const ID tcpip.NICID = 1

const (
	// maxBuffer is what a connection may hold in each direction: enough for a slow
	// receiver not to slow a fast link. Memory is used only for what is there.
	maxBuffer     = 4 << 20
	defaultBuffer = 512 << 10
)

// Config says what a stack is.
type Config struct {
	// Addrs are its own addresses.
	Addrs []netip.Addr
	// Everyone makes it accept packets for all addresses, and send from any.
	Everyone bool
}

// New makes a stack whose only card is nic, which is also its way to everywhere.
func New(nic *NIC, cfg Config) (*stack.Stack, error) {
	s := stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocolWithOptions(ipv6.Options{
			// A card in memory: nobody else has its addresses, and its routers are known.
			DADConfigs: stack.DADConfigurations{DupAddrDetectTransmits: 0},
		})},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
	})
	if err := configure(s, nic, cfg); err != nil {
		s.Destroy()
		return nil, err
	}
	return s, nil
}

func configure(s *stack.Stack, nic *NIC, cfg Config) error {
	if err := tune(s); err != nil {
		return err
	}
	if err := s.CreateNIC(ID, nic); err != nil {
		return fmt.Errorf("create network card: %s", err)
	}
	for _, addr := range cfg.Addrs {
		protocol := tcpip.ProtocolAddress{Protocol: Protocol(addr), AddressWithPrefix: Address(addr).WithPrefix()}
		if err := s.AddProtocolAddress(ID, protocol, stack.AddressProperties{}); err != nil {
			return fmt.Errorf("add address %s: %s", addr, err)
		}
	}
	if cfg.Everyone {
		if err := s.SetPromiscuousMode(ID, true); err != nil {
			return fmt.Errorf("accept all addresses: %s", err)
		}
		if err := s.SetSpoofing(ID, true); err != nil {
			return fmt.Errorf("send from all addresses: %s", err)
		}
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: ID}, {Destination: header.IPv6EmptySubnet, NIC: ID}})
	return nil
}

// tune makes TCP fit a link that has no delay, loses nothing and whose other end is one
// machine.
func tune(s *stack.Stack) error {
	sack := tcpip.TCPSACKEnabled(true)
	recovery := tcpip.TCPRecovery(0) // RACK's timers cost more than they find on a link without loss
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	congestion := tcpip.CongestionControlOption("cubic")
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: defaultBuffer, Max: maxBuffer}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: defaultBuffer, Max: maxBuffer}
	wait := tcpip.TCPTimeWaitTimeoutOption(time.Second) // no packet is ever late
	linger := tcpip.TCPLingerTimeoutOption(10 * time.Second)
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &recovery, &moderate, &congestion, &receive, &send, &wait, &linger} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return fmt.Errorf("set %T: %s", option, err)
		}
	}
	return nil
}

// Protocol returns the protocol that addr is an address of.
func Protocol(addr netip.Addr) tcpip.NetworkProtocolNumber {
	if addr.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

// Address turns an address into the stack's.
func Address(addr netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(addr.AsSlice()) }

// Full turns an address with a port into the stack's.
func Full(addr netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: ID, Addr: Address(addr.Addr()), Port: addr.Port()}
}

// AddrPort turns an address of the stack into one with a port.
func AddrPort(addr tcpip.Address, port uint16) netip.AddrPort {
	a, _ := netip.AddrFromSlice(addr.AsSlice()) // an empty one stays invalid
	return netip.AddrPortFrom(a, port)
}
