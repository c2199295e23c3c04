package nic

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Config says how the interface is set up.
type Config struct {
	// Name is what it is called from then on. MAC is the hardware address that it has;
	// without, it is the one interface that is a device.
	Name string
	MAC  net.HardwareAddr
	// MTU stays as it is if it is 0.
	MTU uint32
	// Address4 and Address6 are the interface's, unless they are the zero value.
	// Without Address6 it has no IPv6 at all.
	Address4, Address6 netip.Prefix
	// Gateway4 and Gateway6 are where the default routes lead, unless they are the
	// zero value.
	Gateway4, Gateway6 netip.Addr
	// Neighbors are hosts on the link that all have the hardware address NeighborMAC.
	// They are never asked for it.
	Neighbors   []netip.Addr
	NeighborMAC net.HardwareAddr
}

// Configure sets up the machine's one network interface, beside the loopback.
func Configure(c Config) error {
	if err := c.configure(); err != nil {
		return &protocol.Error{Kind: protocol.KindNetwork, Op: "set up the network interface", Err: err}
	}
	return nil
}

func (c Config) configure() error {
	nic, err := find(c.MAC)
	if err != nil {
		return err
	}
	kernel, err := dial()
	if err != nil {
		return err
	}
	defer kernel.close()
	if err := kernel.do(rename(nic.Index, c.Name, c.MTU)); err != nil {
		return fmt.Errorf("name it %s, with an MTU of %d: %w", c.Name, c.MTU, err)
	}
	// Before it is up, or the kernel would begin with what is to be off.
	if err := set(interfaceSettings(c.Name, c.Address6.IsValid())); err != nil {
		return err
	}
	if err := set(settings); err != nil {
		return err
	}
	if err := kernel.do(raise(nic.Index)); err != nil {
		return fmt.Errorf("bring it up: %w", err)
	}
	return c.address(kernel, nic.Index)
}

// address gives the interface its addresses, neighbours and routes.
func (c Config) address(kernel *conn, index int) error {
	for _, a := range []netip.Prefix{c.Address4, c.Address6} {
		if !a.IsValid() {
			continue
		}
		if err := kernel.do(addAddress(index, a)); err != nil {
			return fmt.Errorf("give it the address %s: %w", a, err)
		}
	}
	for _, a := range c.Neighbors {
		if a.Is6() && !c.Address6.IsValid() || a.Is4() && !c.Address4.IsValid() {
			continue
		}
		if err := kernel.do(addNeighbor(index, a, c.NeighborMAC)); err != nil {
			return fmt.Errorf("add the neighbour %s: %w", a, err)
		}
	}
	for _, a := range []netip.Addr{c.Gateway4, c.Gateway6} {
		if !a.IsValid() {
			continue
		}
		if err := kernel.do(addDefaultRoute(index, a)); err != nil {
			return fmt.Errorf("add the route by %s: %w", a, err)
		}
	}
	return nil
}

// find returns the interface with a hardware address or, if none is given, the one
// that is a device: the kernel may have made others, such as dummies and tunnels.
func find(mac net.HardwareAddr) (*net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	var found []*net.Interface
	for i, nic := range all {
		if len(mac) != 0 && bytes.Equal(nic.HardwareAddr, mac) || len(mac) == 0 && isDevice(nic.Name) {
			found = append(found, &all[i])
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("there are several: %s and %s", found[0].Name, found[1].Name)
	case len(mac) != 0:
		return nil, fmt.Errorf("there is none with the hardware address %s", mac)
	}
	return nil, errors.New("there is none")
}

func isDevice(name string) bool {
	_, err := os.Lstat(filepath.Join("/sys/class/net", name, "device"))
	return err == nil
}
