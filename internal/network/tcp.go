package network

import (
	"context"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/boxlite-go/boxlite/internal/network/egress"
	"github.com/boxlite-go/boxlite/internal/network/netstack"
	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

const (
	dnsPort   = 53
	httpPort  = 80
	httpsPort = 443
)

// tooMany is the rule of flows that are beyond the limit.
const tooMany = "(too many connections)"

// acceptTCP handles one connection attempt of the guest, in its own goroutine.
func (n *Network) acceptTCP(request *tcp.ForwarderRequest) {
	id := request.ID()
	to := netstack.AddrPort(id.LocalAddress, id.LocalPort)
	a := &attempt{request: request}
	defer a.refuse() // unless it was accepted
	if isGateway(to.Addr()) {
		if to.Port() == dnsPort {
			n.serveDNSTCP(a, to)
		}
		return
	}
	if n.isPeer(to.Addr()) {
		n.toPeerTCP(a, to)
		return
	}
	f, decision := n.begin(policy.TCP, to)
	if f == nil {
		return
	}
	defer n.end(f)
	switch {
	case n.looksFirst(f, decision.Verdict):
		n.lookFirst(f, a, decision.Verdict == policy.Inspect)
	case decision.Verdict == policy.Inspect:
		n.lookMeanwhile(f, a)
	default:
		n.passThrough(f, a)
	}
}

// begin asks the policy about a flow and counts it. It returns nil if it may not be.
func (n *Network) begin(p policy.Protocol, to netip.AddrPort) (*flow, policy.Decision) {
	question := policy.Question{Kind: policy.Flow, Protocol: p, Addr: to, Host: isAlias(to.Addr())}
	if !question.Host {
		question.Host = egress.IsHost(to.Addr())
		question.Names = n.dns.Names(to.Addr())
	}
	decision := n.policy.Load().Decide(question)
	if decision.Verdict == policy.Deny {
		n.refuse("flow", question, decision.Rule)
		return nil, decision
	}
	f := &flow{question: question}
	f.ctx, f.cancel = context.WithCancel(n.ctx)
	if !n.flows.add(f) {
		f.cancel()
		n.refuse("flow", question, tooMany)
		return nil, decision
	}
	// The policy may have been replaced before the flow was among those that are asked
	// about again.
	if again := f.decide(n.policy.Load()); again.Verdict == policy.Deny {
		n.flows.remove(f)
		f.cancel()
		n.refuse("flow", question, again.Rule)
		return nil, again
	}
	host := to.Addr().String()
	if name := f.name(); name != "" {
		host = name
	}
	f.traffic = n.counters.To(host, to.Port(), p)
	n.counters.Connections.Add(1)
	n.counters.Total.Add(1)
	return f, decision
}

// end forgets a flow. One that was not reset has come to its own end.
func (n *Network) end(f *flow) {
	f.close()
	n.counters.Connections.Add(-1)
	n.flows.remove(f)
}

// name returns the name that the flow's address most likely was asked for by, or "".
func (f *flow) name() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.is:
		return f.seen
	case f.question.Host:
		return protocol.HostAlias
	case len(f.question.Names) > 0:
		return f.question.Names[0]
	}
	return ""
}

// target returns the address to dial, and the name that a proxy is asked for.
func (f *flow) target() (netip.AddrPort, string) {
	addr := f.question.Addr
	if isAlias(addr.Addr()) {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), addr.Port()), ""
	}
	if f.question.Host {
		return addr, ""
	}
	return addr, f.name()
}

// dial connects to where the flow goes.
func (n *Network) dial(f *flow) (net.Conn, error) {
	addr, name := f.target()
	conn, err := n.dialer.TCP(f.ctx, addr, name)
	if err != nil {
		n.counters.Failed.Add(1)
		n.log.Debug("connection failed", "addr", addr, "name", name, "err", err)
		return nil, err
	}
	f.hold(conn)
	return conn, nil
}

// passThrough connects, and then accepts: what the server refuses is refused to the guest.
func (n *Network) passThrough(f *flow, a *attempt) {
	server, err := n.dial(f)
	if err != nil {
		return
	}
	guest, err := a.accept(f)
	if err != nil {
		n.log.Debug("guest did not complete its connection", "err", err)
		return
	}
	relay(guest, server, &f.traffic.Up, &f.traffic.Down)
}

// attempt is a connection attempt that waits for its answer.
type attempt struct {
	request *tcp.ForwarderRequest
	done    bool
}

// fit limits the buffers of a flow that is one of many.
func (f *flow) fit(endpoint tcpip.Endpoint) {
	if f.crowded {
		endpoint.SocketOptions().SetSendBufferSize(smallFlow, true)
		endpoint.SocketOptions().SetReceiveBufferSize(smallFlow, true)
	}
}

// accept completes the handshake. The flow holds the connection.
func (a *attempt) accept(f *flow) (*guestConn, error) {
	var queue waiter.Queue
	endpoint, err := a.request.CreateEndpoint(&queue)
	if err != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: stackError{err}}
	}
	a.done = true
	a.request.Complete(false)
	conn := &guestConn{TCPConn: gonet.NewTCPConn(&queue, endpoint), endpoint: endpoint}
	f.fit(endpoint)
	f.hold(conn)
	return conn, nil
}

// refuse resets an attempt that was not accepted.
func (a *attempt) refuse() {
	if !a.done {
		a.request.Complete(true)
	}
}

func isGateway(addr netip.Addr) bool {
	return addr == protocol.GatewayAddr4 || addr == protocol.GatewayAddr6
}

func isAlias(addr netip.Addr) bool {
	return addr == protocol.HostAliasAddr4 || addr == protocol.HostAliasAddr6
}
