package guest

import (
	"fmt"
	"net/netip"

	"github.com/boxlite-go/boxlite/internal/guest/nic"
	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// raiseNetwork sets up the machine's network interface, if it is to have one.
func raiseNetwork(n *boxlitev1.NetworkConfig) error {
	if n == nil {
		return nil
	}
	config, err := nicConfig(n)
	if err != nil {
		return &protocol.Error{Kind: protocol.KindNetwork, Op: "read the network's configuration", Err: err}
	}
	return nic.Configure(config)
}

func nicConfig(n *boxlitev1.NetworkConfig) (c nic.Config, err error) {
	c = nic.Config{Name: protocol.NetworkInterface, MAC: n.GetMac(), MTU: n.GetMtu(), NeighborMAC: n.GetGatewayMac()}
	if c.Address4, err = prefixOf(n.GetAddress4()); err != nil {
		return c, err
	}
	if c.Address6, err = prefixOf(n.GetAddress6()); err != nil {
		return c, err
	}
	if c.Gateway4, err = addrOf(n.GetGateway4()); err != nil {
		return c, err
	}
	if c.Gateway6, err = addrOf(n.GetGateway6()); err != nil {
		return c, err
	}
	if len(c.NeighborMAC) != 0 {
		for _, a := range []netip.Addr{c.Gateway4, c.Gateway6} {
			if a.IsValid() {
				c.Neighbors = append(c.Neighbors, a)
			}
		}
	}
	if !n.GetIpv6() {
		c.Gateway6 = netip.Addr{} // still a neighbour, but no way out
	}
	return c, nil
}

// prefixOf reads an address with its prefix's length; nothing is the zero value.
func prefixOf(text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("address %q: %w", text, err)
	}
	return p, nil
}

func addrOf(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("gateway %q: %w", text, err)
	}
	return a, nil
}
