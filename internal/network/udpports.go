package network

import (
	"context"
	"net"
	"net/netip"
	"sync"
)

// udpSessions are the clients of a published UDP port.
type udpSessions struct {
	mu  sync.Mutex
	all map[netip.AddrPort]net.Conn // the guest's ends
}

// publishUDP serves a UDP port. Each client is a flow of its own.
func (n *Network) publishUDP(ctx context.Context, p *published) error {
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.port.HostIP, p.port.HostPort)))
	if err != nil {
		return err
	}
	p.port.HostPort = addrPort(socket.LocalAddr()).Port()
	p.close = socket.Close
	sessions := &udpSessions{all: make(map[netip.AddrPort]net.Conn)}
	p.wg.Go(func() {
		buf := make([]byte, maxDatagram)
		for ctx.Err() == nil {
			size, from, err := socket.ReadFromUDPAddrPort(buf)
			if err != nil {
				if ctx.Err() != nil {
					return
				}
				continue // an ICMP error for an earlier answer
			}
			if guest := n.session(ctx, p, socket, sessions, from); guest != nil {
				if _, err := guest.Write(buf[:size]); err != nil {
					guest.Close()
				}
			}
		}
	})
	return nil
}

// session returns the guest's end for a client, and begins to serve it if it is new.
func (n *Network) session(ctx context.Context, p *published, socket *net.UDPConn, sessions *udpSessions, client netip.AddrPort) net.Conn {
	sessions.mu.Lock()
	defer sessions.mu.Unlock()
	if guest := sessions.all[client]; guest != nil {
		return guest
	}
	f := n.inbound(ctx, p)
	if f == nil {
		return nil
	}
	conn, err := n.DialGuest(f.ctx, "udp", p.port.GuestPort, client)
	if err != nil {
		n.counters.Failed.Add(1)
		n.log.Debug("guest not reached", "port", p.port.GuestPort, "err", err)
		n.end(f)
		return nil
	}
	guest := &counted{Conn: expire(conn, udpIdle), flow: f}
	f.hold(guest)
	sessions.all[client] = guest
	p.wg.Go(func() {
		defer n.end(f)
		stop := context.AfterFunc(f.ctx, f.reset)
		defer stop()
		datagrams(answerTo{socket, client}, guest, func([]byte) bool { return true })
		sessions.mu.Lock()
		defer sessions.mu.Unlock()
		delete(sessions.all, client)
	})
	return guest
}

// counted counts what a flow into the guest carries.
type counted struct {
	net.Conn
	flow *flow
}

// Read counts what the guest sends.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.flow.traffic.Up.Add(int64(n))
	return n, err
}

// Write counts what the guest gets.
func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.flow.traffic.Down.Add(int64(n))
	return n, err
}

// answerTo sends to one client of a socket.
type answerTo struct {
	*net.UDPConn
	client netip.AddrPort
}

// Write sends a datagram.
func (a answerTo) Write(b []byte) (int, error) { return a.WriteToUDPAddrPort(b, a.client) }
