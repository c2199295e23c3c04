// Package network is the network of one box: it plays the whole world to the guest's one
// network card, in this process and without any privilege.
//
//	guest ── frames ──▶ filter ──▶ ARP, DHCP, echo      answered here, packages local and egress
//	                       │
//	                       ▼
//	                    netstack ──▶ TCP, UDP flows     gVisor's stack ends them here
//	                                    │
//	              policy ◀── question ──┤◀── dns         which names the address was told for
//	                                    │◀── sniff       what the flow says first
//	                                    ▼
//	                    egress ──▶ sockets of the host
//
// Every flow begins with a question to the policy: where it goes, and for which names our
// DNS server has told the guest that address. The answer refuses it (TCP: a reset), lets
// it pass, or asks to look into it first: then what it says, TLS's SNI or HTTP's Host, is
// the next question. There is no way around this, as packets are never forwarded: a flow
// that passes is a new connection of this process.
//
// # The guest's view
//
// The gateway is router, DNS and DHCP server; nothing else is there. An address of its own,
// [protocol.HostAliasAddr4], is the host's loopback, for ports that the policy names.
// A refused connection is refused at once, and one to which nobody answers is reset when
// the host's attempt ends: the handshake with the guest waits for that with the server.
//
// # Sealing
//
// [New] opens all that needs files or names: listeners, the capture, the host's resolver
// configuration, certificates, the names of proxies. Afterwards only sockets for IPv4
// and IPv6 are made, so the process may give up everything else.
package network
