package network

import (
	"context"
	"crypto/x509"
	"net"
	"slices"
	"sync/atomic"

	"github.com/boxlite-go/boxlite/internal/network/egress"
	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/network/proxy"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// openInspector makes what speaks TLS and HTTP with the guest in the server's place, for
// destinations whose requests are looked into one by one.
func (n *Network) openInspector(roots *x509.CertPool) (err error) {
	n.inspector, err = proxy.New(proxy.Options{Secrets: n.cfg.Secrets, Roots: roots, Dial: n.dialInspected, Log: n.log})
	return err
}

// dialInspected connects the inspector to where a flow goes.
func (n *Network) dialInspected(ctx context.Context, f proxy.Flow, name string) (net.Conn, error) {
	if egress.IsHost(f.Addr.Addr()) {
		name = "" // no proxy is asked for the host's own ports
	}
	conn, err := n.dialer.TCP(ctx, f.Addr, name)
	if err != nil {
		n.counters.Failed.Add(1)
	}
	return conn, err
}

// replacesServers reports whether some TLS of the guest ends here instead of at a server.
func (n *Network) replacesServers() bool { return n.cfg.InspectTLS || len(n.cfg.Secrets) > 0 }

func (n *Network) intercepts(name string, port uint16) bool {
	return name != "" && (n.cfg.InspectTLS || n.inspector.Intercepts(name, port))
}

func (n *Network) interceptsPort(port uint16) bool {
	return n.inspector.InterceptsPort(port) || n.cfg.InspectTLS && port == httpsPort
}

// compile makes a policy that also lets flows to the hosts of secrets pass, if it lets
// only some pass at all.
func compile(cfg policy.Config, secrets []proxy.Secret) (*policy.Policy, error) {
	if len(cfg.Allow) > 0 {
		cfg.Allow = slices.Clone(cfg.Allow)
		for _, s := range secrets {
			cfg.Allow = append(cfg.Allow, s.Rules()...)
		}
	}
	return policy.Compile(cfg)
}

// inspected describes a flow to the inspector.
func (n *Network) inspected(f *flow, name string) proxy.Flow {
	addr, _ := f.target()
	question := f.question
	question.Kind = policy.Seen
	names := question.Names
	if isAlias(question.Addr.Addr()) {
		names = []string{protocol.HostAlias}
	}
	return proxy.Flow{
		Addr: addr, Name: name, Names: names,
		Check: func(host string) policy.Decision {
			q := question
			q.Name = host
			p := n.policy.Load()
			// Where nothing had to be looked into, hosts of requests don't either.
			if flow := p.Decide(f.question); flow.Verdict == policy.Allow {
				return flow
			}
			return p.Decide(q)
		},
		Denied: func(host, rule string) {
			q := question
			q.Name = host
			n.refuse("http", q, rule)
		},
	}
}

// inspectedConn is a connection of the guest whose bytes are counted.
type inspectedConn struct {
	*replay
	up, down *atomic.Int64
}

// counting counts what the inspector reads and writes, as a relay would.
func counting(conn *replay, f *flow) net.Conn {
	return &inspectedConn{conn, &f.traffic.Up, &f.traffic.Down}
}

// Read reads what the guest sent.
func (c *inspectedConn) Read(b []byte) (int, error) {
	n, err := c.replay.Read(b)
	c.up.Add(int64(n))
	return n, err
}

// Write writes to the guest.
func (c *inspectedConn) Write(b []byte) (int, error) {
	n, err := c.replay.Write(b)
	c.down.Add(int64(n))
	return n, err
}
