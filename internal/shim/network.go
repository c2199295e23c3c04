package shim

import (
	"context"
	"errors"
	"net/netip"

	"github.com/boxlite-go/boxlite/internal/audit"
	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/network"
	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// startNetwork opens all of the host's that the network needs, while it can be opened.
func (p *process) startNetwork(context.Context) error {
	if p.spec.Network == nil {
		return nil
	}
	n, err := network.New(*p.spec.Network, p.log, p.denied)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.network = n
	p.mu.Unlock()
	return nil
}

// reach is what the network needs of the host once the shim is sealed.
func (p *process) reach() jail.Reach {
	if p.network == nil {
		return jail.Reach{}
	}
	return jail.Reach{Network: true, Read: p.network.Files()}
}

// denied records what the network's policy has refused.
func (p *process) denied(d network.Denial) {
	e := audit.Event{
		Type: audit.Denied, Box: p.spec.VM.Box, Name: p.spec.Name, Run: p.spec.Run,
		Denial: &audit.Denial{
			Kind: string(d.Kind), Protocol: string(d.Protocol), Name: d.Name, Rule: d.Rule, Count: d.Count,
		},
	}
	if d.Addr.IsValid() {
		e.Denial.Address = d.Addr.String()
	}
	if err := p.denials.Append(e); err != nil {
		p.log.Error(err.Error())
	}
}

// trusted are the certificate authorities that the container is to trust.
func (p *process) trusted() []string {
	if p.network == nil {
		return nil
	}
	return p.network.Trusted()
}

// guestNetwork is what the guest must know of its network; nil if it has none.
func (p *process) guestNetwork() *boxlitev1.NetworkConfig {
	if p.network == nil {
		return nil
	}
	return &boxlitev1.NetworkConfig{
		Address4:   netip.PrefixFrom(protocol.GuestAddr4, protocol.Subnet4.Bits()).String(),
		Gateway4:   protocol.GatewayAddr4.String(),
		Address6:   netip.PrefixFrom(protocol.GuestAddr6, protocol.Subnet6.Bits()).String(),
		Gateway6:   protocol.GatewayAddr6.String(),
		Ipv6:       p.network.IPv6(),
		Mtu:        protocol.NetworkMTU,
		GatewayMac: protocol.GatewayMAC,
		Mac:        protocol.GuestMAC,
	}
}

// guestFiles is what the container's /etc/resolv.conf and /etc/hosts say; nil without
// a network.
func (p *process) guestFiles() *boxlitev1.NetworkFiles {
	if p.network == nil {
		return nil
	}
	return &boxlitev1.NetworkFiles{
		Dns:       []string{protocol.GatewayAddr4.String()},
		Search:    p.network.Search(),
		Addresses: []string{protocol.GuestAddr4.String(), protocol.GuestAddr6.String()},
		Hosts: []*boxlitev1.HostEntry{
			{Address: protocol.HostAliasAddr4.String(), Names: []string{protocol.HostAlias}},
		},
	}
}

// withNetwork returns the network of a box that runs.
func (p *process) withNetwork(op string) (*network.Network, error) {
	if err := p.running(op); err != nil {
		return nil, err
	}
	if p.network == nil {
		return nil, &protocol.Error{Kind: protocol.KindInvalidState, Op: op, Err: errors.New("the box has no network")}
	}
	return p.network, nil
}

func (s *service) SetPolicy(_ context.Context, r *boxlitev1.SetPolicyRequest) (*boxlitev1.SetPolicyResponse, error) {
	n, err := s.process.withNetwork("change the network's rules")
	if err == nil {
		c := policy.Config{Allow: r.GetAllow(), Deny: r.GetDeny()}
		for _, port := range r.GetAllowHost() {
			c.AllowHost = append(c.AllowHost, uint16(port))
		}
		err = n.SetPolicy(c)
	}
	if err != nil {
		return nil, rpc.ToStatus(err)
	}
	return &boxlitev1.SetPolicyResponse{}, nil
}

func (s *service) Publish(_ context.Context, r *boxlitev1.PublishRequest) (*boxlitev1.PublishResponse, error) {
	const op = "publish a port"
	n, err := s.process.withNetwork(op)
	if err != nil {
		return nil, rpc.ToStatus(err)
	}
	port, err := portFrom(op, r.GetPort())
	if err == nil {
		port, err = n.Publish(port)
	}
	if err != nil {
		return nil, rpc.ToStatus(err)
	}
	return &boxlitev1.PublishResponse{Port: portTo(port)}, nil
}

func (s *service) Unpublish(_ context.Context, r *boxlitev1.UnpublishRequest) (*boxlitev1.UnpublishResponse, error) {
	const op = "unpublish a port"
	n, err := s.process.withNetwork(op)
	if err != nil {
		return nil, rpc.ToStatus(err)
	}
	port, err := portFrom(op, r.GetPort())
	if err == nil {
		err = n.Unpublish(port)
	}
	if err != nil {
		return nil, rpc.ToStatus(err)
	}
	return &boxlitev1.UnpublishResponse{}, nil
}

func (s *service) Network(context.Context, *boxlitev1.NetworkRequest) (*boxlitev1.NetworkResponse, error) {
	s.process.mu.Lock()
	n := s.process.network
	s.process.mu.Unlock()
	if n == nil {
		return &boxlitev1.NetworkResponse{}, nil
	}
	response := statsTo(n.Stats())
	for _, port := range n.Ports() {
		response.Ports = append(response.Ports, portTo(port))
	}
	return response, nil
}

func portTo(p network.Port) *boxlitev1.Port {
	return &boxlitev1.Port{
		HostIp: p.HostIP.String(), HostPort: uint32(p.HostPort), GuestPort: uint32(p.GuestPort), Protocol: string(p.Protocol),
	}
}

func portFrom(op string, p *boxlitev1.Port) (network.Port, error) {
	host, err := netip.ParseAddr(p.GetHostIp())
	if err != nil || p.GetHostPort() > 65535 || p.GetGuestPort() < 1 || p.GetGuestPort() > 65535 {
		return network.Port{}, &protocol.Error{Kind: protocol.KindInvalidArgument, Op: op, Err: errors.New("there is no such port")}
	}
	return network.Port{
		HostIP: host, HostPort: uint16(p.GetHostPort()), GuestPort: uint16(p.GetGuestPort()), Protocol: policy.Protocol(p.GetProtocol()),
	}, nil
}

func statsTo(s network.Stats) *boxlitev1.NetworkResponse {
	r := &boxlitev1.NetworkResponse{
		Enabled:   true,
		SentBytes: uint64(s.UpBytes), SentFrames: uint64(s.UpPackets),
		ReceivedBytes: uint64(s.DownBytes), ReceivedFrames: uint64(s.DownPackets),
		OpenConnections: uint64(s.Connections), Connections: uint64(s.Total), FailedConnections: uint64(s.Failed),
		Denied: uint64(s.Denied), DnsQueries: uint64(s.Queries),
	}
	for _, n := range s.Dropped {
		r.DroppedFrames += uint64(n)
	}
	for _, d := range s.Destinations {
		r.Destinations = append(r.Destinations, &boxlitev1.Destination{
			Name: d.Host, Port: uint32(d.Port), Protocol: string(d.Protocol),
			SentBytes: uint64(d.UpBytes), ReceivedBytes: uint64(d.DownBytes), Connections: uint64(d.Flows),
		})
	}
	return r
}
