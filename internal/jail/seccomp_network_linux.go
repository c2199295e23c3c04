package jail

import (
	"maps"

	"golang.org/x/sys/unix"
)

// networkCalls is what a shim may do that serves its box's network: it makes
// connections over IP, and listens on published ports. Sockets of other families
// (Unix, netlink, packet, vsock), and raw ones, it can't make.
func networkCalls(pid int) calls {
	c := shimCalls(pid)
	c.always = append(c.always, "connect", "setsockopt")
	rarely := maps.Clone(c.rarely)
	for name, why := range map[string]string{
		"bind":     "a port that is published while the box runs, and UDP",
		"listen":   "a port that is published while the box runs",
		"sendto":   "UDP, and echo requests",
		"recvfrom": "UDP, and echo requests",
		"sendmsg":  "UDP, and echo requests",
		"recvmsg":  "UDP, and echo requests",
		"sendmmsg": "several datagrams at once",
		"recvmmsg": "several datagrams at once",
		"flock":    "the log of what the policy has refused",
		"readv":    "several buffers at once",
		"splice":   "copies between connections",
	} {
		rarely[name] = why
	}
	c.rarely = rarely
	for _, family := range []uint64{unix.AF_INET, unix.AF_INET6} {
		for _, kind := range []uint64{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
			c.only = append(c.only, with("socket", equals(0, family), equals(1, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)))
		}
	}
	// Those for echo requests are made without flags (golang.org/x/net/icmp).
	for family, protocol := range map[uint64]uint64{unix.AF_INET: unix.IPPROTO_ICMP, unix.AF_INET6: unix.IPPROTO_ICMPV6} {
		c.only = append(c.only, with("socket", equals(0, family), equals(1, unix.SOCK_DGRAM), equals(2, protocol)))
	}
	return c
}
