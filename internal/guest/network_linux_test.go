package guest

import (
	"slices"
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

func TestNetworkFiles(t *testing.T) {
	const local = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	full := &boxlitev1.NetworkFiles{
		Dns: []string{"192.168.127.1"}, Search: []string{"corp.example", "example"},
		Addresses: []string{"192.168.127.2", "fd62:6f78:6c69:7465::2"},
		Hosts:     []*boxlitev1.HostEntry{{Address: "192.168.127.254", Names: []string{protocol.HostAlias, "alias"}}},
	}
	for _, test := range []struct {
		hostname       string
		network        *boxlitev1.NetworkFiles
		hosts, resolve string
	}{
		{"box", nil, local + "127.0.1.1\tbox\n", "# This box has no network.\n"},
		{"", nil, local, "# This box has no network.\n"},
		{
			"box", full,
			local + "192.168.127.2\tbox\nfd62:6f78:6c69:7465::2\tbox\n192.168.127.254\thost.boxlite.internal alias\n",
			"nameserver 192.168.127.1\nsearch corp.example example\n",
		},
		{
			"b\nox", &boxlitev1.NetworkFiles{Dns: []string{"1\noptions x"}},
			local + "127.0.1.1\tbox\n", "nameserver 1optionsx\n",
		},
	} {
		if got := string(hostsFile(test.hostname, test.network)); got != test.hosts {
			t.Errorf("hosts of %q:\n%s", test.hostname, got)
		}
		if got := string(resolvConf(test.network)); got != test.resolve {
			t.Errorf("resolv.conf of %q:\n%s", test.hostname, got)
		}
	}
}

func TestNICConfig(t *testing.T) {
	n := &boxlitev1.NetworkConfig{
		Address4: "192.168.127.2/24", Gateway4: "192.168.127.1", Address6: "fd62:6f78:6c69:7465::2/64", Gateway6: "fd62:6f78:6c69:7465::1",
		Mtu: protocol.NetworkMTU, GatewayMac: protocol.GatewayMAC,
	}
	c, err := nicConfig(n)
	if err != nil || c.Gateway6.IsValid() || c.Gateway4 != protocol.GatewayAddr4 || c.Address6.Addr() != protocol.GuestAddr6 ||
		!slices.Contains(c.Neighbors, protocol.GatewayAddr6) {
		t.Errorf("%+v, %v", c, err)
	}
	n.Ipv6 = true
	if c, err = nicConfig(n); err != nil || c.Gateway6 != protocol.GatewayAddr6 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, wrong := range []*boxlitev1.NetworkConfig{{Address4: "192.168.127.2"}, {Address6: "x"}, {Gateway4: "x"}, {Gateway6: "1::/64"}} {
		if c, err := nicConfig(wrong); err == nil {
			t.Errorf("%v became %+v", wrong, c)
		}
	}
}
