package network

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/boxlite-go/boxlite/internal/network/peers"
	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// joinPeers makes the box known in the networks that it shares.
func (n *Network) joinPeers() error {
	if len(n.cfg.Shared.Networks) == 0 {
		return nil
	}
	joined, err := peers.Join(n.cfg.Shared, n.acceptPeer)
	if err != nil {
		return &protocol.Error{Kind: protocol.KindNetwork, Op: "join the shared networks", Err: err}
	}
	n.peers = joined
	return nil
}

// lookupPeer answers names of boxes in shared networks before anybody else is asked.
func (n *Network) lookupPeer(name string) ([]netip.Addr, bool) {
	if n.peers == nil {
		return nil, false
	}
	addr, ok := n.peers.Lookup(name)
	return []netip.Addr{addr}, ok
}

// isPeer reports whether an address stands for another box. What goes there is allowed
// by the shared network, and no other rule is asked.
func (n *Network) isPeer(addr netip.Addr) bool { return n.peers != nil && n.peers.Knows(addr) }

// toPeerTCP connects the guest to another box.
func (n *Network) toPeerTCP(a *attempt, to netip.AddrPort) {
	f := n.serve(policy.TCP, to)
	if f == nil {
		return
	}
	defer n.end(f)
	f.traffic = n.counters.To(n.peers.Name(to.Addr()), to.Port(), policy.TCP)
	other, err := n.peers.Dial(f.ctx, "tcp", to)
	if err != nil {
		n.counters.Failed.Add(1)
		n.log.Debug("other box not reached", "addr", to, "err", err)
		return
	}
	f.hold(other)
	guest, err := a.accept(f)
	if err != nil {
		return
	}
	relay(guest, other, &f.traffic.Up, &f.traffic.Down)
}

// toPeerUDP passes the guest's datagrams on to another box.
func (n *Network) toPeerUDP(request *udp.ForwarderRequest, to netip.AddrPort) bool {
	f := n.serve(policy.UDP, to)
	if f == nil {
		return false
	}
	f.traffic = n.counters.To(n.peers.Name(to.Addr()), to.Port(), policy.UDP)
	return n.startUDP(request, f, func(guest net.Conn) {
		other, err := n.peers.Dial(f.ctx, "udp", to)
		if err != nil {
			n.counters.Failed.Add(1)
			n.log.Debug("other box not reached", "addr", to, "err", err)
			return
		}
		f.hold(other)
		relayDatagrams(f, guest, &framed{Conn: other}, udpIdle, nil)
	})
}

// acceptPeer connects another box to a port of the guest.
func (n *Network) acceptPeer(ctx context.Context, from netip.Addr, protocol string, port uint16, other net.Conn, reached func(bool) error) {
	f := &flow{own: true, question: policy.Question{Protocol: policy.Protocol(protocol)}}
	f.ctx, f.cancel = context.WithCancel(ctx)
	if !n.flows.add(f) {
		f.cancel()
		_ = reached(false) // whether it hears that or not, it is refused
		_ = other.Close()
		return
	}
	f.traffic = n.counters.To("guest", port, policy.Protocol(protocol))
	n.counters.Connections.Add(1)
	n.counters.Total.Add(1)
	defer n.end(f)
	stop := context.AfterFunc(f.ctx, f.reset)
	defer stop()
	f.hold(other)
	source := netip.AddrPortFrom(from, uint16(1024+rand.IntN(1<<16-1024))) // any will do: it is the other box's
	guest, err := n.DialGuest(f.ctx, protocol, port, source)
	if err != nil {
		n.counters.Failed.Add(1)
		if reached(false) == nil {
			f.close()
		}
		return
	}
	f.hold(guest)
	if err := reached(true); err != nil {
		f.reset()
		return
	}
	if protocol == "udp" {
		relayDatagrams(f, guest, &framed{Conn: other}, udpIdle, nil)
		return
	}
	relay(guest, other, &f.traffic.Up, &f.traffic.Down)
}

// framed carries datagrams over a stream, each with its length before it.
type framed struct {
	net.Conn
	mu sync.Mutex // held while one is written
}

// Read reads one datagram.
func (c *framed) Read(b []byte) (int, error) {
	var head [2]byte
	if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
		return 0, err
	}
	size := int(binary.BigEndian.Uint16(head[:]))
	if size > len(b) {
		return 0, io.ErrShortBuffer
	}
	return io.ReadFull(c.Conn, b[:size])
}

// Write writes one datagram.
func (c *framed) Write(b []byte) (int, error) {
	if len(b) > maxDatagram {
		return 0, errors.New("a datagram is too large")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	frame := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(b)), uint16(len(b)))
	if _, err := c.Conn.Write(append(frame, b...)); err != nil {
		return 0, err
	}
	return len(b), nil
}
