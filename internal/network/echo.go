package network

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/boxlite-go/boxlite/internal/network/egress"
	"github.com/boxlite-go/boxlite/internal/network/local"
	"github.com/boxlite-go/boxlite/internal/network/policy"
)

const (
	maxPings   = 64
	maxPayload = 8 << 10
	pingWait   = 10 * time.Second
)

// pings are the echo requests that wait for their answer, each with a socket.
type pings struct {
	mu      sync.Mutex
	sockets map[net.PacketConn]struct{}
	closed  bool
	failed  bool // the host forbids it, which was logged
	wg      sync.WaitGroup
}

// echo passes an echo request on, if the policy allows it. Nobody is told of a request
// that was refused, as it is with networks that drop them.
func (n *Network) echo(frame []byte) {
	ping, ok := local.Echo(frame)
	if !ok || len(ping.Payload) > maxPayload {
		n.counters.Drop("oversized echo request")
		return
	}
	question := policy.Question{
		Kind: policy.Flow, Protocol: policy.ICMP, Addr: netip.AddrPortFrom(ping.Addr, 0),
		Names: n.dns.Names(ping.Addr), Host: egress.IsHost(ping.Addr),
	}
	if decision := n.policy.Load().Decide(question); decision.Verdict != policy.Allow {
		n.refuse("flow", question, decision.Rule)
		return
	}
	ping.Payload = append([]byte(nil), ping.Payload...)
	n.pings.start(n, ping)
}

// start sends a request with a socket of its own, and waits for its answer.
func (p *pings) start(n *Network, ping local.Ping) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.sockets) >= maxPings {
		return
	}
	network, address := "udp4", "0.0.0.0"
	if ping.Addr.Is6() {
		network, address = "udp6", "::"
	}
	socket, err := icmp.ListenPacket(network, address)
	if err != nil {
		if !p.failed {
			n.log.Warn("the host forbids echo requests, so the guest's are dropped", "err", err)
		}
		p.failed = true
		return
	}
	if p.sockets == nil {
		p.sockets = make(map[net.PacketConn]struct{})
	}
	p.sockets[socket] = struct{}{}
	p.wg.Go(func() {
		defer p.end(socket)
		if reply, ok := exchange(n.ctx, socket, ping); ok {
			n.nic.Inject(reply.Reply())
		}
	})
}

func (p *pings) end(socket net.PacketConn) {
	socket.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sockets, socket)
}

// close ends all of them.
func (p *pings) close() {
	p.mu.Lock()
	p.closed = true
	for socket := range p.sockets {
		socket.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// exchange sends a request and returns its answer. The kernel chooses the identifier, and
// delivers only answers that carry it.
func exchange(ctx context.Context, socket net.PacketConn, ping local.Ping) (local.Ping, bool) {
	message := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: int(ping.ID), Seq: int(ping.Seq), Data: ping.Payload}}
	number := 1
	if ping.Addr.Is6() {
		message.Type, number = ipv6.ICMPTypeEchoRequest, 58
	}
	request, err := message.Marshal(nil)
	if err != nil {
		return ping, false
	}
	ctx, cancel := context.WithTimeout(ctx, pingWait)
	defer cancel()
	defer context.AfterFunc(ctx, func() { socket.Close() })()
	if _, err := socket.WriteTo(request, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ping.Addr, 0))); err != nil {
		return ping, false
	}
	buf := make([]byte, maxPayload+8)
	for {
		size, from, err := socket.ReadFrom(buf)
		if err != nil {
			return ping, false
		}
		answer, err := icmp.ParseMessage(number, buf[:size])
		if err != nil || addrPort(from).Addr().Unmap() != ping.Addr {
			continue
		}
		if echo, ok := answer.Body.(*icmp.Echo); ok && echo.Seq == int(ping.Seq) &&
			(answer.Type == ipv4.ICMPTypeEchoReply || answer.Type == ipv6.ICMPTypeEchoReply) {
			ping.Payload = echo.Data
			return ping, true
		}
	}
}
