package peers

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Addresses are those that boxes of shared networks have for each other.
var Addresses = netip.MustParsePrefix("198.18.0.0/15")

// maxPeers bounds how many boxes one box can know.
const maxPeers = 4096

// Config is what a box's shim must know of its shared networks.
type Config struct {
	// Box is the box's name.
	Box      string       `json:"box"`
	Networks []Membership `json:"networks"`
}

// Accept takes a connection of another box, from an address that stands for it, to a
// port of this one. It reports whether that was reached by calling reached once, before
// it returns the connection's bytes; then it owns the connection.
type Accept func(ctx context.Context, from netip.Addr, protocol string, port uint16, conn net.Conn, reached func(bool) error)

// Peers are the boxes that one box can reach. Its methods may be called concurrently.
type Peers struct {
	config   Config
	listener net.Listener
	accept   Accept
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu      sync.Mutex
	byName  map[peer]netip.Addr
	byAddr  map[netip.Addr]peer
	pending map[net.Conn]struct{} // those that have not shown who they are
}

// peer is a box in a network.
type peer struct{ network, box string }

// Join listens for other boxes, and tells them where. The caller closes it.
func Join(c Config, accept Accept) (*Peers, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ctx, cancel := context.WithCancel(context.Background())
	listener, err := lc.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		cancel()
		return nil, err
	}
	p := &Peers{
		config: c, listener: listener, accept: accept, cancel: cancel,
		byName: map[peer]netip.Addr{}, byAddr: map[netip.Addr]peer{}, pending: map[net.Conn]struct{}{},
	}
	port := listener.Addr().(*net.TCPAddr).AddrPort().Port()
	for _, m := range c.Networks {
		if err := m.announce(c.Box, port); err != nil {
			cancel()
			return nil, errors.Join(err, listener.Close())
		}
	}
	p.running.Add(1)
	go p.listen(ctx)
	return p, nil
}

// Folders are what must be readable as long as there are peers.
func (p *Peers) Folders() []string {
	var dirs []string
	for _, m := range p.config.Networks {
		dirs = append(dirs, m.Dir)
	}
	return dirs
}

// Lookup returns the address that stands for another box, by its name, or by its name
// and that of the network: db, or db.backend. It reports false for a name that no box
// has that runs.
func (p *Peers) Lookup(name string) (netip.Addr, bool) {
	name = strings.TrimSuffix(name, ".")
	for _, m := range p.config.Networks {
		short := name
		if n := len(name) - len(m.Name) - 1; n > 0 && strings.EqualFold(name[n:], "."+m.Name) {
			short = name[:n]
		}
		for _, candidate := range []string{name, short} {
			if box, _, ok := m.find(candidate); ok && box != p.config.Box {
				return p.address(peer{m.Name, box})
			}
		}
	}
	return netip.Addr{}, false
}

// address returns the address that stands for a peer.
func (p *Peers) address(who peer) (netip.Addr, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if addr, ok := p.byName[who]; ok {
		return addr, true
	}
	n := len(p.byName) + 1
	if n > maxPeers {
		return netip.Addr{}, false
	}
	base := Addresses.Addr().As4()
	addr := netip.AddrFrom4([4]byte{base[0], base[1], byte(n >> 8), byte(n)})
	p.byName[who], p.byAddr[addr] = addr, who
	return addr, true
}

// Dial connects to a port of another box by the address that stands for it.
func (p *Peers) Dial(ctx context.Context, protocol string, to netip.AddrPort) (net.Conn, error) {
	p.mu.Lock()
	who, ok := p.byAddr[to.Addr()]
	p.mu.Unlock()
	if !ok {
		return nil, errors.New("no box has that address")
	}
	m, _ := p.membership(who.network)
	box, port, ok := m.find(who.box)
	if !ok {
		return nil, errors.New("the box does not run")
	}
	dialer := net.Dialer{Timeout: handshakeTimeout}
	dialer.SetMultipathTCP(false)
	conn, err := dialer.DialContext(ctx, "tcp4", netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port).String())
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	err = ask(conn, m.Key, request{Network: m.Name, From: p.config.Box, To: box, Protocol: protocol, Port: to.Port()})
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func (p *Peers) membership(name string) (Membership, bool) {
	for _, m := range p.config.Networks {
		if m.Name == name {
			return m, true
		}
	}
	return Membership{}, false
}

// acceptPause keeps one that can't accept from trying all the time.
const acceptPause = 20 * time.Millisecond

// maxPending bounds how many may connect at once without showing who they are.
const maxPending = 256

func (p *Peers) listen(ctx context.Context) {
	defer p.running.Done()
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // it was reset before it was accepted, or descriptors are short
			select {
			case <-time.After(acceptPause):
			case <-ctx.Done():
			}
			continue
		}
		if !p.admit(conn) {
			_ = conn.Close()
			continue
		}
		p.running.Add(1)
		go func() {
			defer p.running.Done()
			p.serve(ctx, conn)
		}()
	}
}

func (p *Peers) admit(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending == nil || len(p.pending) >= maxPending {
		return false
	}
	p.pending[conn] = struct{}{}
	return true
}

func (p *Peers) serve(ctx context.Context, conn net.Conn) {
	r, err := answer(conn, func(r request) []byte {
		m, ok := p.membership(r.Network)
		if !ok || r.To != p.config.Box {
			return nil
		}
		return m.Key
	})
	p.mu.Lock()
	delete(p.pending, conn)
	p.mu.Unlock()
	if err != nil {
		_ = conn.Close()
		return
	}
	from, ok := p.address(peer{r.Network, r.From})
	if !ok {
		_ = conn.Close()
		return
	}
	p.accept(ctx, from, r.Protocol, r.Port, conn, func(yes bool) error {
		status := []byte{1}
		if yes {
			status[0] = 0
		}
		_, err := conn.Write(status)
		return errors.Join(err, conn.SetDeadline(time.Time{}))
	})
}

// Close ends listening, and waits for what Accept was called for.
func (p *Peers) Close() error {
	p.cancel()
	err := p.listener.Close()
	p.mu.Lock()
	for conn := range p.pending {
		_ = conn.Close()
	}
	p.pending = nil
	p.mu.Unlock()
	p.running.Wait()
	return err
}

// Knows reports whether an address stands for another box.
func (p *Peers) Knows(addr netip.Addr) bool { return p.Name(addr) != "" }

// Name returns the name of the box for which an address stands, or "".
func (p *Peers) Name(addr netip.Addr) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byAddr[addr].box
}
