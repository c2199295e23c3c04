package network

import (
	"net/netip"

	"github.com/boxlite-go/boxlite/internal/network/peers"
	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/network/proxy"
	"github.com/boxlite-go/boxlite/internal/network/tally"
)

// Config is a box's network as it is written down. The zero value lets everything pass
// that the zero [policy.Config] does.
type Config struct {
	Policy policy.Config `json:"policy"`
	// Servers are the DNS servers to ask, addresses with or without a port, and Search
	// the domains to try; nil means the host's.
	Servers []string `json:"servers,omitempty"`
	Search  []string `json:"search,omitempty"`
	// InspectTLS looks into all TLS that names allow, and into all on port 443, with the
	// box's own authority.
	InspectTLS bool `json:"inspectTLS,omitempty"`
	// Secrets are put into requests to their hosts, which need no rule to be reached.
	Secrets []proxy.Secret `json:"secrets,omitempty"`
	// CACerts are certificates, PEM, that servers may also be verified with.
	CACerts string `json:"caCerts,omitempty"`
	Ports   []Port `json:"ports,omitempty"`
	// UpBytesPerSecond and DownBytesPerSecond limit what the guest sends and gets; 0 is
	// no limit. Headers count.
	UpBytesPerSecond   int64 `json:"upBytesPerSecond,omitempty"`
	DownBytesPerSecond int64 `json:"downBytesPerSecond,omitempty"`
	// MaxConnections limits flows at one time; 0 means 4096.
	MaxConnections int `json:"maxConnections,omitempty"`
	// HTTPProxy, HTTPSProxy and NoProxy have the meaning of the variables http_proxy,
	// https_proxy and no_proxy.
	HTTPProxy  string `json:"httpProxy,omitempty"`
	HTTPSProxy string `json:"httpsProxy,omitempty"`
	NoProxy    string `json:"noProxy,omitempty"`
	// Capture is the path of a file that gets all frames, or "".
	Capture string `json:"capture,omitempty"`
	// Hostname is what DHCP tells the guest.
	Hostname string `json:"hostname,omitempty"`

	// Shared are the networks that the box shares with others.
	Shared peers.Config `json:"shared,omitzero"`

	// Dialer replaces the host's network in tests.
	Dialer DialFunc `json:"-"`
}

const defaultMaxConnections = 4096

// Port is a port of the guest that is reached at one of the host.
type Port struct {
	// HostIP is the host's address; the zero value means 127.0.0.1.
	HostIP netip.Addr `json:"hostIP,omitzero"`
	// HostPort is the host's port; 0 means any that is free.
	HostPort  uint16 `json:"hostPort,omitempty"`
	GuestPort uint16 `json:"guestPort"`
	// Protocol is TCP or UDP; the zero value means TCP.
	Protocol policy.Protocol `json:"protocol,omitempty"`
}

// Denial is something that was refused.
type Denial = tally.Denial

// Stats are the numbers of a network.
type Stats = tally.Stats
