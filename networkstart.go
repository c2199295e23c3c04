package boxlite

import (
	"path/filepath"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/boxlite-go/boxlite/internal/box"
	"github.com/boxlite-go/boxlite/internal/network"
	"github.com/boxlite-go/boxlite/internal/network/peers"
)

// dirNetworks is the folder of shared networks in a home.
const dirNetworks = "networks"

// networkConfig returns what the shim must know of a box's network; nil if the box has
// none. It holds the values of secrets, and perhaps a password of a proxy: it goes to
// the shim by a pipe, and nowhere else.
func (rt *Runtime) networkConfig(c *box.Config) (*network.Config, error) {
	n := c.Network
	if !n.Enabled() {
		return nil, nil
	}
	secrets, err := rt.openSecrets(c)
	if err != nil {
		return nil, err
	}
	config := &network.Config{
		Policy: policyConfig(NetworkPolicy{n.Allow, n.Deny, n.AllowHost}), Servers: n.DNS, Search: n.DNSSearch,
		InspectTLS: n.InspectTLS, CACerts: strings.Join(n.CACerts, "\n"), Ports: c.Ports, Secrets: secrets,
		UpBytesPerSecond: int64(n.UpKbps) * 1000 / 8, DownBytesPerSecond: int64(n.DownKbps) * 1000 / 8,
		MaxConnections: n.MaxConnections, Capture: n.Capture,
	}
	for _, name := range n.Join {
		m, err := peers.Prepare(filepath.Join(rt.home, dirNetworks), name)
		if err != nil {
			return nil, err
		}
		config.Shared.Box, config.Shared.Networks = c.Name, append(config.Shared.Networks, m)
	}
	switch n.Proxy {
	case "":
		env := httpproxy.FromEnvironment()
		config.HTTPProxy, config.HTTPSProxy, config.NoProxy = env.HTTPProxy, env.HTTPSProxy, env.NoProxy
	case "none":
	default:
		config.HTTPProxy, config.HTTPSProxy = n.Proxy, n.Proxy
	}
	return config, nil
}
