package shim

import (
	"context"

	"github.com/boxlite-go/boxlite/internal/network"
	"github.com/boxlite-go/boxlite/internal/network/policy"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// SetPolicy replaces the network's rules.
func (c *Client) SetPolicy(ctx context.Context, p policy.Config) error {
	r := &boxlitev1.SetPolicyRequest{Allow: p.Allow, Deny: p.Deny}
	for _, port := range p.AllowHost {
		r.AllowHost = append(r.AllowHost, uint32(port))
	}
	_, err := boxlitev1.NewShimClient(c.control).SetPolicy(ctx, r)
	return rpc.FromStatus(err)
}

// Publish makes a port of the guest reachable, and returns it as the host gave it.
func (c *Client) Publish(ctx context.Context, p network.Port) (network.Port, error) {
	r, err := boxlitev1.NewShimClient(c.control).Publish(ctx, &boxlitev1.PublishRequest{Port: portTo(p)})
	if err != nil {
		return network.Port{}, rpc.FromStatus(err)
	}
	return portFrom("publish a port", r.GetPort())
}

// Unpublish undoes Publish.
func (c *Client) Unpublish(ctx context.Context, p network.Port) error {
	_, err := boxlitev1.NewShimClient(c.control).Unpublish(ctx, &boxlitev1.UnpublishRequest{Port: portTo(p)})
	return rpc.FromStatus(err)
}

// Ports returns the published ports, as the host gave them.
func (c *Client) Ports(ctx context.Context) ([]network.Port, error) {
	r, err := c.Network(ctx)
	if err != nil {
		return nil, err
	}
	ports := make([]network.Port, 0, len(r.GetPorts()))
	for _, p := range r.GetPorts() {
		port, err := portFrom("read the published ports", p)
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// Network tells which ports are published, and what has passed.
func (c *Client) Network(ctx context.Context) (*boxlitev1.NetworkResponse, error) {
	r, err := boxlitev1.NewShimClient(c.control).Network(ctx, &boxlitev1.NetworkRequest{})
	return r, rpc.FromStatus(err)
}
