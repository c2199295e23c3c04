// Package policy decides what a box may reach. It opens no sockets, keeps no state
// and knows no time: [Policy.Decide] is the one function that is asked for every
// flow and every name, and the same question always gets the same answer.
//
// # Rules
//
// A rule is a host, or an address, and perhaps ports and a protocol:
//
//	example.com          just that name
//	*.example.com        every name below it, at any depth, but not itself
//	192.0.2.1            an address; also 2001:db8::1
//	192.0.2.0/24         addresses; also 2001:db8::/32
//	example.com:443      one port, several (80,443), or a range (8000-8999)
//	[2001:db8::1]:443    IPv6 addresses stand in brackets before a port
//	example.com:53/udp   a protocol: tcp, udp, or, for addresses, icmp
//
// Without ports a rule means all ports. Without a protocol a rule that allows names means
// TCP, all others mean all protocols. Names are compared in their canonical spelling
// ([Canonical]), addresses in their shortest form. The host itself is not for rules.
//
// # Decisions
//
// Without allow rules everything is allowed that is not denied. With at least one, only
// what a rule allows. Deny rules win over allow rules.
//
// Names are not addresses: a flow goes to an address, and a rule for a name allows it
// only if our DNS has told the guest that address for that name, and then only if what
// the flow itself says (TLS's SNI, HTTP's Host) agrees. Decide answers [Inspect] then,
// and is asked again with what was seen: a name that is allowed, and one of those for
// which the guest was told the address. A flow without a name to see is refused then.
// QUIC encrypts its names for all practical purposes, so UDP to port 443 is never allowed
// by name. UDP to other ports is, with rules that say so: to inspect it means to refuse
// datagrams that look like QUIC.
//
// A rule that denies a name refuses to resolve it if the rule is for all ports, refuses
// flows to addresses that the guest was told for denied names alone, and makes Decide
// answer [Inspect] for other flows to the rule's ports. If these show the name, or hide
// theirs, they are refused: whoever denies a name wants to be sure. UDP to port 443 is
// refused there as well.
//
// Some addresses never follow from a name, whatever a DNS server says: private,
// loopback, link-local, carrier-grade NAT and other special ones. Rules for addresses
// must name them. Addresses of clouds' metadata services are refused even by rules that
// name them among others, such as 0.0.0.0/0, and without allow rules as well: a rule
// must be for 169.254.0.0/16, or less. The host's own addresses are refused but for the
// ports in AllowHost, or by a rule for just that address.
//
// IPv6 addresses that stand for IPv4 addresses (NAT64, 6to4, Teredo and others) are
// allowed only if both are.
package policy
