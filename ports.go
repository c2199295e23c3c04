package boxlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/boxlite-go/boxlite/internal/box"
	"github.com/boxlite-go/boxlite/internal/network"
	"github.com/boxlite-go/boxlite/internal/network/policy"
)

// Port is a port of a box that can be reached by a port of the host.
type Port struct {
	// HostIP is the address on which the host listens. Empty means 127.0.0.1: the host
	// alone. "0.0.0.0" and "::" mean all of the host's.
	HostIP string `json:"hostIP"`
	// HostPort is the host's port. 0 means any that is free; [Box.Ports] tells which.
	HostPort int `json:"hostPort"`
	// GuestPort is the port of the box, on which something must listen on all
	// addresses (0.0.0.0), as for Docker. [Box.DialContext] also reaches what listens
	// on the loopback alone.
	GuestPort int `json:"guestPort"`
	// Protocol is "tcp" or "udp". Empty means "tcp".
	Protocol string `json:"protocol"`
}

// String writes the port as -p takes it: 127.0.0.1:8080:80/tcp.
func (p Port) String() string {
	host, err := netip.ParseAddr(cmp.Or(p.HostIP, localhost))
	if err != nil {
		host = netip.Addr{}
	}
	return fmt.Sprintf("%s:%d/%s", netip.AddrPortFrom(host, uint16(p.HostPort)), p.GuestPort, cmp.Or(p.Protocol, "tcp"))
}

const localhost = "127.0.0.1"

// Publish makes a port of the box reachable by one of the host, for now and later
// starts, and returns it with the port that the host gave. A port of the host that is
// taken gives an error of kind [ErrAlreadyExists].
func (b *Box) Publish(ctx context.Context, p Port) (Port, error) {
	const op = "publish a port"
	wanted, err := portOf(op, p)
	if err != nil {
		return Port{}, err
	}
	got := wanted
	err = b.reconfigure(ctx, op, func(c *box.Config) error {
		if !c.Network.Enabled() {
			return errNoNetwork(op, b.config.Label())
		}
		if slices.Contains(c.Ports, wanted) && wanted.HostPort != 0 {
			return &Error{Kind: ErrAlreadyExists, Op: op, Box: b.config.Label(), Err: fmt.Errorf("%s is published already", portFrom(wanted))}
		}
		c.Ports = append(slices.Clone(c.Ports), wanted)
		return nil
	}, func(ctx context.Context, r *run) (err error) {
		got, err = r.client.Publish(ctx, wanted)
		return err
	})
	if err != nil {
		return Port{}, err
	}
	return portFrom(got), nil
}

// Unpublish undoes [Box.Publish], and resets what is connected by that port. HostPort
// is the one that was asked for or, of a running box, the one that the host gave. A
// port that is not published gives an error of kind [ErrNotFound].
func (b *Box) Unpublish(ctx context.Context, p Port) error {
	const op = "unpublish a port"
	gone, err := portOf(op, p)
	if err != nil {
		return err
	}
	notFound := &Error{
		Kind: ErrNotFound, Op: op, Box: b.config.Label(), Err: fmt.Errorf("%s is not published", portFrom(gone)),
		Hint: "see which ports are with Box.Ports, or boxlite port ls",
	}
	published, err := b.publishedPorts(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(published, func(p publishedPort) bool { return p.asked == gone || p.got == gone })
	if i < 0 {
		return notFound
	}
	return b.reconfigure(ctx, op, func(c *box.Config) error {
		at := slices.Index(c.Ports, published[i].asked)
		if at < 0 {
			return notFound
		}
		c.Ports = slices.Delete(slices.Clone(c.Ports), at, at+1)
		return nil
	}, func(ctx context.Context, r *run) error { return r.client.Unpublish(ctx, published[i].got) })
}

// Ports returns the box's published ports. Of a running box, HostPort is the one that
// the host gave.
func (b *Box) Ports(ctx context.Context) ([]Port, error) {
	published, err := b.publishedPorts(ctx)
	ports := make([]Port, 0, len(published))
	for _, p := range published {
		ports = append(ports, portFrom(p.got))
	}
	return ports, err
}

// publishedPort is a port as it was asked for, and as the host gave it.
type publishedPort struct{ asked, got network.Port }

func (b *Box) publishedPorts(ctx context.Context) ([]publishedPort, error) {
	if err := b.rt.check(); err != nil {
		return nil, err
	}
	record, err := b.rt.load(ctx, b.config.ID)
	if err != nil {
		return nil, err
	}
	return b.rt.portsOf(ctx, record)
}

// portsOf asks the box's run, if there is one, which ports the host gave.
func (rt *Runtime) portsOf(ctx context.Context, record box.Record) ([]publishedPort, error) {
	published := make([]publishedPort, 0, len(record.Config.Ports))
	for _, p := range record.Config.Ports {
		published = append(published, publishedPort{p, p})
	}
	if len(published) == 0 || !record.State.Status.Active() {
		return published, nil
	}
	r, err := rt.connect(ctx, record.ID)
	if errors.Is(err, ErrStopped) && rt.check() == nil {
		return published, nil
	}
	if err != nil {
		return published, err
	}
	given, err := r.client.Ports(ctx)
	if err != nil {
		return published, err
	}
	for i := range published {
		asked := published[i].asked
		at := slices.IndexFunc(given, func(g network.Port) bool {
			return g.HostIP == asked.HostIP && g.GuestPort == asked.GuestPort && g.Protocol == asked.Protocol &&
				(g.HostPort == asked.HostPort || asked.HostPort == 0)
		})
		if at >= 0 {
			published[i].got = given[at]
			given = slices.Delete(given, at, at+1)
		}
	}
	return published, nil
}

func portsOf(op string, ports []Port) ([]network.Port, error) {
	var kept []network.Port
	for _, p := range ports {
		port, err := portOf(op, p)
		if err != nil {
			return nil, err
		}
		if port.HostPort != 0 && slices.ContainsFunc(kept, func(k network.Port) bool {
			return k.HostIP == port.HostIP && k.HostPort == port.HostPort && k.Protocol == port.Protocol
		}) {
			return nil, invalid(op, "publish each port of the host once", fmt.Errorf("%s is given twice", p))
		}
		kept = append(kept, port)
	}
	return kept, nil
}

// portOf checks a port and fills in the defaults.
func portOf(op string, p Port) (network.Port, error) {
	host, err := netip.ParseAddr(cmp.Or(p.HostIP, localhost))
	switch {
	case err != nil || host.Zone() != "":
		return network.Port{}, invalid(op, "give an address of the host, such as 127.0.0.1", fmt.Errorf("%.100q is not an IP address", p.HostIP))
	case p.HostPort < 0 || p.HostPort > 65535:
		return network.Port{}, invalid(op, "choose a port between 1 and 65535, or 0 for any", fmt.Errorf("the host can't have a port %d", p.HostPort))
	case p.GuestPort < 1 || p.GuestPort > 65535:
		return network.Port{}, invalid(op, "choose a port between 1 and 65535", fmt.Errorf("the box can't have a port %d", p.GuestPort))
	case p.Protocol != "" && p.Protocol != "tcp" && p.Protocol != "udp":
		return network.Port{}, invalid(op, "choose tcp or udp", fmt.Errorf("%.40q can't be published", p.Protocol))
	}
	return network.Port{
		HostIP: host.Unmap(), HostPort: uint16(p.HostPort), GuestPort: uint16(p.GuestPort), Protocol: policy.Protocol(cmp.Or(p.Protocol, "tcp")),
	}, nil
}

func portFrom(p network.Port) Port {
	return Port{HostIP: p.HostIP.String(), HostPort: int(p.HostPort), GuestPort: int(p.GuestPort), Protocol: string(p.Protocol)}
}
