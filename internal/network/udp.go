package network

import (
	"net"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/boxlite-go/boxlite/internal/network/netstack"
	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/network/sniff"
)

const (
	// udpIdle is how long a UDP flow lives on without a datagram, and dnsIdle one that is
	// a question and its answer.
	udpIdle = 60 * time.Second
	dnsIdle = 30 * time.Second
	// maxDatagram is the largest payload there can be.
	maxDatagram = 65535
	udpReceive  = 512 << 10
)

// acceptUDP begins a flow for a datagram that belongs to none. It must not block, as the
// guest's frames wait. False has the stack answer that the port is unreachable.
func (n *Network) acceptUDP(request *udp.ForwarderRequest) bool {
	id := request.ID()
	to := netstack.AddrPort(id.LocalAddress, id.LocalPort)
	if isGateway(to.Addr()) {
		if to.Port() != dnsPort {
			return false
		}
		f := n.serve(policy.UDP, to)
		if f == nil {
			return false
		}
		return n.startUDP(request, f, func(guest net.Conn) {
			n.dns.ServeUDP(f.ctx, expire(guest, dnsIdle))
		})
	}
	if n.isPeer(to.Addr()) {
		return n.toPeerUDP(request, to)
	}
	f, decision := n.begin(policy.UDP, to)
	if f == nil {
		return false
	}
	return n.startUDP(request, f, func(guest net.Conn) {
		n.relayUDP(f, guest, decision.Verdict == policy.Inspect)
	})
}

// startUDP makes the guest's end of a flow, and has serve run for it.
func (n *Network) startUDP(request *udp.ForwarderRequest, f *flow, serve func(guest net.Conn)) bool {
	var queue waiter.Queue
	endpoint, err := request.CreateEndpoint(&queue)
	if err != nil {
		n.log.Debug("no endpoint for datagram", "addr", f.question.Addr, "err", err)
		n.end(f)
		return true // there is a flow for it already
	}
	endpoint.SocketOptions().SetReceiveBufferSize(udpReceive, true)
	guest := gonet.NewUDPConn(&queue, endpoint)
	f.hold(guest)
	go func() {
		defer n.end(f)
		serve(guest)
	}()
	return true
}

// relayUDP passes datagrams on. Inspected means that the flow is allowed for a name: then
// QUIC is refused, as what it is for is encrypted.
func (n *Network) relayUDP(f *flow, guest net.Conn, inspected bool) {
	addr, _ := f.target()
	if inspected && addr.Port() == httpsPort {
		n.refuse("flow", f.question, "(QUIC)")
		return
	}
	server, err := n.dialer.UDP(f.ctx, addr)
	if err != nil {
		n.counters.Failed.Add(1)
		n.log.Debug("datagram not sent", "addr", addr, "err", err)
		return
	}
	f.hold(server)
	idle := udpIdle
	if addr.Port() == dnsPort {
		idle = dnsIdle
	}
	relayDatagrams(f, guest, server, idle, func(b []byte) bool {
		if inspected && sniff.QUIC(b) {
			n.refuse("flow", f.question, "(QUIC)")
			return false
		}
		return true
	})
}

// relayDatagrams passes datagrams on in both directions, until one of the guest's is not
// allowed, or none have come for some time. A nil allow allows all.
func relayDatagrams(f *flow, guest, other net.Conn, idle time.Duration, allow func([]byte) bool) {
	guest, other = expire(guest, idle), expire(other, idle)
	done := make(chan struct{})
	go func() {
		defer close(done)
		datagrams(guest, other, func(b []byte) bool { f.traffic.Down.Add(int64(len(b))); return true })
		f.reset()
	}()
	datagrams(other, guest, func(b []byte) bool {
		if allow != nil && !allow(b) {
			return false
		}
		f.traffic.Up.Add(int64(len(b)))
		return true
	})
	f.reset()
	<-done
}

// datagrams passes datagrams from one connection to another until one fails or is refused.
// A server that is not there makes it end too: the next datagram begins anew.
func datagrams(to, from net.Conn, allow func([]byte) bool) {
	buf := make([]byte, maxDatagram)
	for {
		size, err := from.Read(buf)
		if err != nil || !allow(buf[:size]) {
			return
		}
		if _, err := to.Write(buf[:size]); err != nil {
			return
		}
	}
}

// idleConn closes itself when it is not used for some time. Both ends of a flow that are
// used in turn count as used together, as each datagram is read from one and written to
// the other.
type idleConn struct {
	net.Conn
	timer *time.Timer
	after time.Duration
}

func expire(conn net.Conn, after time.Duration) net.Conn {
	return &idleConn{Conn: conn, after: after, timer: time.AfterFunc(after, func() { conn.Close() })}
}

func (c *idleConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.touch(err)
	return n, err
}

func (c *idleConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.touch(err)
	return n, err
}

func (c *idleConn) touch(err error) {
	if err == nil {
		c.timer.Reset(c.after)
	}
}

func (c *idleConn) Close() error {
	c.timer.Stop()
	return c.Conn.Close()
}
