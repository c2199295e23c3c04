package nic

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// family returns the address family, as the kernel numbers it.
func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// link is struct ifinfomsg with flags to change.
func link(index int, flags, change uint32) []byte {
	b := []byte{unix.AF_UNSPEC, 0, 0, 0}
	b = binary.NativeEndian.AppendUint32(b, uint32(index))
	b = binary.NativeEndian.AppendUint32(b, flags)
	return binary.NativeEndian.AppendUint32(b, change)
}

// rename names an interface, which is down, and sets its MTU, unless that is 0.
func rename(index int, name string, mtu uint32) *message {
	m := newMessage(unix.RTM_NEWLINK, 0, link(index, 0, 0)).add(unix.IFLA_IFNAME, append([]byte(name), 0))
	if mtu != 0 {
		m.addUint32(unix.IFLA_MTU, mtu)
	}
	return m
}

// raise brings an interface up.
func raise(index int) *message {
	return newMessage(unix.RTM_NEWLINK, 0, link(index, unix.IFF_UP, unix.IFF_UP))
}

// addAddress gives an interface an address, that is used at once: nobody else
// can have it, so it is not looked for.
func addAddress(index int, p netip.Prefix) *message {
	a := p.Addr()
	// struct ifaddrmsg
	fixed := []byte{family(a), byte(p.Bits()), unix.IFA_F_PERMANENT | unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE}
	fixed = binary.NativeEndian.AppendUint32(fixed, uint32(index))
	m := newMessage(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, fixed).
		add(unix.IFA_LOCAL, a.AsSlice()).add(unix.IFA_ADDRESS, a.AsSlice())
	if a.Is4() {
		m.add(unix.IFA_BROADCAST, broadcast(p))
	}
	return m
}

// broadcast returns the last address of a prefix of IPv4.
func broadcast(p netip.Prefix) []byte {
	b := p.Addr().As4()
	n := binary.BigEndian.Uint32(b[:]) | uint32(1<<(32-p.Bits())-1)
	return binary.BigEndian.AppendUint32(nil, n)
}

// addDefaultRoute leads everything that has no other route to a gateway.
func addDefaultRoute(index int, gateway netip.Addr) *message {
	// struct rtmsg: no destination, so the default
	fixed := []byte{
		family(gateway), 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST,
		0, 0, 0, 0,
	}
	return newMessage(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, fixed).
		add(unix.RTA_GATEWAY, gateway.AsSlice()).addUint32(unix.RTA_OIF, uint32(index))
}

// addNeighbor tells the hardware address of another host on the link, for good.
func addNeighbor(index int, a netip.Addr, mac net.HardwareAddr) *message {
	// struct ndmsg
	fixed := []byte{family(a), 0, 0, 0}
	fixed = binary.NativeEndian.AppendUint32(fixed, uint32(index))
	fixed = binary.NativeEndian.AppendUint16(fixed, unix.NUD_PERMANENT)
	fixed = append(fixed, 0, unix.RTN_UNICAST)
	return newMessage(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, fixed).
		add(unix.NDA_DST, a.AsSlice()).add(unix.NDA_LLADDR, mac)
}
