// Package nic sets up the network interface of the machine that the guest agent
// runs: name, addresses, routes and the kernel's settings for it. All that is
// there to know comes from the host, so nothing asks for it with DHCP, ARP or
// router discovery, and the first packet can leave at once.
//
// It speaks rtnetlink(7) itself: half a dozen messages are all it needs.
package nic
