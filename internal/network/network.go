package network

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/boxlite-go/boxlite/internal/network/capture"
	"github.com/boxlite-go/boxlite/internal/network/dns"
	"github.com/boxlite-go/boxlite/internal/network/egress"
	"github.com/boxlite-go/boxlite/internal/network/link"
	"github.com/boxlite-go/boxlite/internal/network/local"
	"github.com/boxlite-go/boxlite/internal/network/netstack"
	"github.com/boxlite-go/boxlite/internal/network/peers"
	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/network/proxy"
	"github.com/boxlite-go/boxlite/internal/network/tally"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// DialFunc connects to an address of the host's network.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Network is the network of one box. Its methods may be called by several goroutines.
type Network struct {
	cfg Config
	log *slog.Logger

	ctx    context.Context // of everything that runs; Close ends it
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	policy    atomic.Pointer[policy.Policy]
	dns       *dns.Server
	inspector *proxy.Proxy
	dialer    *egress.Dialer
	lease     local.Lease
	denials   *tally.Denials
	counters  tally.Counters
	capture   *capture.Writer
	up, down  *rate.Limiter // nil is no limit

	nic   *netstack.NIC
	stack *stack.Stack
	flows flows
	pings pings
	peers *peers.Peers // nil if the box is in no shared network
	ports ports

	settings sync.Mutex // while the policy is replaced; cfg has the current one

	mu       sync.Mutex
	endpoint link.Endpoint
	closed   bool
}

// New opens all that the network needs; see the package comment. Denied is told of what
// is refused, the first of its sort at once, and repetitions once a minute. It must not
// block for long, and may be nil.
func New(cfg Config, log *slog.Logger, denied func(Denial)) (_ *Network, err error) {
	if cfg.MaxConnections <= 0 {
		cfg.MaxConnections = defaultMaxConnections
	}
	if denied == nil {
		denied = func(Denial) {}
	}
	n := &Network{cfg: cfg, log: log, denials: tally.NewDenials(denied), up: limiter(cfg.UpBytesPerSecond), down: limiter(cfg.DownBytesPerSecond)}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.flows = flows{limit: cfg.MaxConnections, all: make(map[*flow]struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	compiled, err := compile(cfg.Policy, cfg.Secrets)
	if err != nil {
		return nil, err
	}
	n.policy.Store(compiled)
	if err := n.openServices(); err != nil {
		return nil, err
	}
	if err := n.openStack(); err != nil {
		return nil, err
	}
	if err := n.joinPeers(); err != nil {
		return nil, err
	}
	if err := prepareListening(n.ctx); err != nil {
		return nil, &protocol.Error{Kind: protocol.KindNetwork, Op: "set network up", Err: err}
	}
	for _, port := range cfg.Ports {
		if _, err := n.Publish(port); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// openServices makes everything but the stack.
func (n *Network) openServices() error {
	roots, err := certificates(n.cfg.CACerts)
	if err != nil {
		return err
	}
	proxies, err := egress.NewProxies(n.ctx, n.cfg.HTTPProxy, n.cfg.HTTPSProxy, n.cfg.NoProxy, &tls.Config{RootCAs: roots})
	if err != nil {
		return &protocol.Error{Kind: protocol.KindNetwork, Op: "set network up", Hint: "check the proxies that were given, and those in the environment", Err: err}
	}
	n.dialer = &egress.Dialer{Dial: n.cfg.Dialer, Proxies: proxies}
	if n.dns, n.lease.Search, err = n.newDNS(); err != nil {
		return err
	}
	n.lease.Hostname = n.cfg.Hostname
	if err := n.openInspector(roots); err != nil {
		return err
	}
	if n.cfg.Capture != "" {
		if n.capture, err = capture.Create(n.cfg.Capture); err != nil {
			return &protocol.Error{Kind: protocol.KindStorage, Op: "set network up", Err: err}
		}
	}
	return nil
}

func (n *Network) openStack() error {
	n.nic = netstack.NewNIC(protocol.GatewayMAC, protocol.GuestMAC)
	s, err := netstack.New(n.nic, netstack.Config{
		Addrs:    []netip.Addr{protocol.GatewayAddr4, protocol.HostAliasAddr4, protocol.GatewayAddr6, protocol.HostAliasAddr6},
		Everyone: true,
	})
	if err != nil {
		return &protocol.Error{Kind: protocol.KindInternal, Op: "set network up", Err: err}
	}
	n.stack = s
	s.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(s, 0, n.cfg.MaxConnections, n.acceptTCP).HandlePacket)
	s.SetTransportProtocolHandler(udp.ProtocolNumber, udp.NewForwarder(s, n.acceptUDP).HandlePacket)
	return nil
}

// Serve begins to serve the guest, and returns. The network owns the endpoint from now
// on. It is called once.
func (n *Network) Serve(endpoint link.Endpoint) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.endpoint != nil {
		endpoint.Close()
		return
	}
	n.endpoint = endpoint
	n.tasks.Go(func() { n.receive(endpoint) })
	n.tasks.Go(func() { n.transmit(endpoint) })
}

// SetPolicy replaces the policy. Flows that it does not allow are reset.
func (n *Network) SetPolicy(cfg policy.Config) error {
	n.settings.Lock()
	defer n.settings.Unlock()
	compiled, err := compile(cfg, n.cfg.Secrets)
	if err != nil {
		return err
	}
	n.cfg.Policy = cfg
	n.policy.Store(compiled)
	n.dns.Forget()
	for _, f := range n.flows.snapshot() {
		if f.own {
			continue
		}
		if decision := f.decide(compiled); decision.Verdict == policy.Deny {
			n.refuse("flow", f.question, decision.Rule)
			f.reset()
		}
	}
	return nil
}

// Stats returns what happened so far.
func (n *Network) Stats() Stats {
	s := n.counters.Stats()
	s.Denied, s.Queries = n.denials.Total(), n.dns.Queries()
	if n.nic != nil {
		if dropped := n.nic.Dropped(); dropped > 0 {
			if s.Dropped == nil {
				s.Dropped = make(map[string]int64)
			}
			s.Dropped["guest too slow"] = dropped
		}
	}
	return s
}

// Close ends everything, and waits until it has: nothing of the network is left.
func (n *Network) Close() error {
	n.mu.Lock()
	again := n.closed
	n.closed = true
	endpoint := n.endpoint
	n.mu.Unlock()
	if again {
		n.tasks.Wait()
		return nil
	}
	n.cancel()
	n.ports.close()
	if n.peers != nil {
		n.flows.reset()
		if err := n.peers.Close(); err != nil {
			n.log.Warn("shared networks not left", "err", err)
		}
	}
	if endpoint != nil {
		endpoint.Close()
	}
	n.pings.close()
	n.flows.reset()
	if n.nic != nil {
		n.nic.Shutdown()
	}
	if n.stack != nil {
		n.stack.Close() // handshakes that still wait fail
	}
	n.flows.wg.Wait()
	n.tasks.Wait()
	if n.stack != nil {
		n.stack.Wait()
	}
	n.denials.Close()
	return n.capture.Close()
}

// refuse tells of something that was refused.
func (n *Network) refuse(kind string, q policy.Question, rule string) {
	name := q.Name
	if name == "" && len(q.Names) > 0 {
		name = q.Names[0]
	}
	if q.Host {
		kind = "host"
	}
	n.denials.Add(Denial{Kind: kind, Protocol: q.Protocol, Addr: q.Addr, Name: name, Rule: rule})
}
