package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"

	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// ports are the published ones.
type ports struct {
	mu     sync.Mutex
	all    []*published
	closed bool
}

// published is a port with what serves it.
type published struct {
	port   Port
	cancel context.CancelFunc
	close  func() error
	wg     sync.WaitGroup
}

func (p *published) stop() {
	p.cancel()
	p.close()
	p.wg.Wait()
}

// Publish makes a port of the guest reachable at one of the host, and returns it with
// what was chosen for it.
func (n *Network) Publish(port Port) (Port, error) {
	if !port.HostIP.IsValid() {
		port.HostIP = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if port.Protocol == "" {
		port.Protocol = policy.TCP
	}
	op := fmt.Sprintf("publish port %s/%s", netip.AddrPortFrom(port.HostIP, port.HostPort), port.Protocol)
	if port.GuestPort == 0 {
		return Port{}, &protocol.Error{Kind: protocol.KindInvalidArgument, Op: op, Err: errors.New("the guest's port is 0")}
	}
	n.ports.mu.Lock()
	defer n.ports.mu.Unlock()
	if n.ports.closed {
		return Port{}, &protocol.Error{Kind: protocol.KindStopped, Op: op, Err: net.ErrClosed}
	}
	p := &published{port: port}
	ctx, cancel := context.WithCancel(n.ctx)
	p.cancel = cancel
	var err error
	switch port.Protocol {
	case policy.TCP:
		err = n.publishTCP(ctx, p)
	case policy.UDP:
		err = n.publishUDP(ctx, p)
	default:
		err = errors.New("the protocols are tcp and udp")
	}
	if err != nil {
		cancel()
		return Port{}, portError(op, err)
	}
	n.ports.all = append(n.ports.all, p)
	return p.port, nil
}

// portError says what can be done about a port that can't be had.
func portError(op string, err error) error {
	e := &protocol.Error{Kind: protocol.KindNetwork, Op: op, Err: err}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.Kind, e.Hint = protocol.KindAlreadyExists, "choose another port of the host, or 0 for any that is free"
	case errors.Is(err, syscall.EACCES):
		e.Hint = "choose a port of the host from 1024 on"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e.Kind, e.Hint = protocol.KindInvalidArgument, "choose an address that the host has"
	}
	return e
}

// listenTCP listens without multipath TCP, which needs sockets of another protocol.
func listenTCP(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	return config.Listen(ctx, "tcp", addr.String())
}

// prepareListening has package net read the system's limits, which it does from a file
// with the first listener: later ports are published by a process that opens no files.
func prepareListening(ctx context.Context) error {
	listener, err := listenTCP(ctx, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0))
	if err != nil {
		return err
	}
	return listener.Close()
}

// publishTCP listens and serves until the port is closed.
func (n *Network) publishTCP(ctx context.Context, p *published) error {
	listener, err := listenTCP(ctx, netip.AddrPortFrom(p.port.HostIP, p.port.HostPort))
	if err != nil {
		return err
	}
	if addr, ok := listener.Addr().(*net.TCPAddr); ok {
		p.port.HostPort = uint16(addr.Port)
	}
	p.close = listener.Close
	p.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				if ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
					n.log.Error("published port failed", "port", p.port.HostPort, "err", err)
				}
				return
			}
			p.wg.Go(func() { n.serveClient(ctx, p, conn) })
		}
	})
	return nil
}

// inbound counts a flow into the guest, or returns nil if there are too many.
func (n *Network) inbound(ctx context.Context, p *published) *flow {
	f := &flow{own: true, question: policy.Question{Protocol: p.port.Protocol}}
	f.ctx, f.cancel = context.WithCancel(ctx)
	if !n.flows.add(f) {
		f.cancel()
		n.log.Warn("too many connections, published port refuses one", "port", p.port.HostPort)
		return nil
	}
	f.traffic = n.counters.To("guest", p.port.GuestPort, p.port.Protocol)
	n.counters.Connections.Add(1)
	n.counters.Total.Add(1)
	return f
}

// serveClient connects a client with the guest. If the guest refuses, it is reset.
func (n *Network) serveClient(ctx context.Context, p *published, client net.Conn) {
	f := n.inbound(ctx, p)
	if f == nil {
		reset(client)
		return
	}
	defer n.end(f)
	stop := context.AfterFunc(f.ctx, f.reset)
	defer stop()
	f.hold(client)
	guest, err := n.DialGuest(f.ctx, "tcp", p.port.GuestPort, addrPort(client.RemoteAddr()))
	if err != nil {
		n.counters.Failed.Add(1)
		n.log.Debug("guest not reached", "port", p.port.GuestPort, "err", err)
		f.reset()
		return
	}
	if conn, ok := guest.(*guestConn); ok {
		f.fit(conn.endpoint)
	}
	f.hold(guest)
	relay(guest, client, &f.traffic.Up, &f.traffic.Down)
}

// Unpublish ends what [Network.Publish] began, and the connections through the port. The
// guest's port need not be given.
func (n *Network) Unpublish(port Port) error {
	if !port.HostIP.IsValid() {
		port.HostIP = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if port.Protocol == "" {
		port.Protocol = policy.TCP
	}
	n.ports.mu.Lock()
	var found *published
	for i, p := range n.ports.all {
		if p.port.HostIP == port.HostIP && p.port.HostPort == port.HostPort && p.port.Protocol == port.Protocol {
			found = p
			n.ports.all = append(n.ports.all[:i], n.ports.all[i+1:]...)
			break
		}
	}
	n.ports.mu.Unlock()
	if found == nil {
		return &protocol.Error{Kind: protocol.KindNotFound, Op: "unpublish port " + strconv.Itoa(int(port.HostPort)), Err: errors.New("it is not published")}
	}
	found.stop()
	return nil
}

// Ports returns what is published.
func (n *Network) Ports() []Port {
	n.ports.mu.Lock()
	defer n.ports.mu.Unlock()
	all := make([]Port, 0, len(n.ports.all))
	for _, p := range n.ports.all {
		all = append(all, p.port)
	}
	return all
}

// close ends all of them, for good. Their connections end with the network's context.
func (s *ports) close() {
	s.mu.Lock()
	s.closed = true
	all := s.all
	s.all = nil
	s.mu.Unlock()
	for _, p := range all {
		p.stop()
	}
}

// addrPort returns a socket's address.
func addrPort(addr net.Addr) netip.AddrPort {
	if a, ok := addr.(interface{ AddrPort() netip.AddrPort }); ok {
		return a.AddrPort()
	}
	return netip.AddrPort{}
}
