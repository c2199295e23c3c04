package boxlite

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"

	"github.com/boxlite-go/boxlite/internal/box"
	"github.com/boxlite-go/boxlite/internal/network"
	"github.com/boxlite-go/boxlite/internal/network/policy"
)

// NetworkMode says whether a box has a network.
type NetworkMode = box.NetworkMode

// The modes.
const (
	// NetworkEnabled gives the box a network card. It is the default.
	NetworkEnabled = box.NetworkEnabled
	// NetworkNone gives it none. Commands, files and [Box.DialContext] work without.
	NetworkNone = box.NetworkNone
)

// Network says what a box may reach, and how. The zero value is a network without
// rules: it reaches what the host does, but for the host itself and the metadata
// services of clouds.
//
// A rule is a name, or an address, and perhaps ports and a protocol:
//
//	example.com          just that name
//	*.example.com        every name below it, at any depth, but not itself
//	192.0.2.0/24         addresses, or one: 192.0.2.1, 2001:db8::1
//	example.com:443      one port, several (80,443) or a range (8000-8999)
//	[2001:db8::1]:443    IPv6 addresses stand in brackets before a port
//	example.com:53/udp   a protocol: tcp, udp, or, for addresses, icmp
//
// A rule for a name means TCP if it names no protocol. It never leads to private,
// loopback, link-local or other special addresses, whatever the name is said to mean:
// those take rules for addresses. docs/network.md tells all of it.
type Network struct {
	// Mode is NetworkEnabled if it is empty.
	Mode NetworkMode `json:"mode"`
	// Allow are rules for what may be reached. With at least one, nothing else may;
	// names that no rule allows are not even looked up.
	Allow []string `json:"allow"`
	// Deny are rules for what may not be reached, whatever else is allowed.
	Deny []string `json:"deny"`
	// AllowHost are ports of the host that may be reached, as host.boxlite.internal.
	AllowHost []int `json:"allowHost"`

	// DNS are the addresses of name servers, perhaps with a port. Empty means the
	// host's. DNSSearch are domains in which short names are looked up; nil means the
	// host's.
	DNS       []string `json:"dns"`
	DNSSearch []string `json:"dnsSearch"`

	// InspectTLS looks into connections with TLS, so that rules for names hold for the
	// Host of each request in them as well, and not only for the name that the
	// connection was opened with. The container then trusts a certificate authority of
	// this box alone; programs with a list of their own do not.
	InspectTLS bool `json:"inspectTLS"`
	// CACerts are certificate authorities, in PEM, that are trusted beside the host's
	// where TLS is looked into, and by the container.
	CACerts []string `json:"caCerts"`
	// Proxy is the URL of an HTTP or SOCKS proxy through which TCP leaves. Empty means
	// as HTTPS_PROXY, HTTP_PROXY and NO_PROXY say in the environment of the program
	// that starts the box, where a password may be given, too; "none" means no proxy.
	Proxy string `json:"proxy"`

	// Join are names of shared networks. Boxes that have joined one reach each other by
	// their names, whatever the rules say, and no others do.
	Join []string `json:"join"`

	// UpKbps and DownKbps limit what leaves and enters the box, in kilobits per
	// second. 0 means no limit.
	UpKbps   int `json:"upKbps"`
	DownKbps int `json:"downKbps"`
	// MaxConnections is how many connections may be open at once. 0 means 4096.
	MaxConnections int `json:"maxConnections"`
	// Capture is a file on the host to which all frames are written, in pcap format.
	// It is emptied at each start.
	Capture string `json:"capture"`
}

// Limits of networks.
const (
	maxKbps        = 100_000_000
	maxConnections = 65536
	maxJoined      = 16
)

// network checks a Network and returns it as it is kept.
func (s BoxSpec) network(op string) (box.Network, error) {
	n := s.Network
	switch n.Mode {
	case "", NetworkEnabled, NetworkNone:
	default:
		return box.Network{}, invalid(op, "choose enabled or none", fmt.Errorf("there is no network mode %.40q", n.Mode))
	}
	if n.Mode == NetworkNone {
		if err := s.checkNoNetwork(op); err != nil {
			return box.Network{}, err
		}
	}
	if err := checkPolicy(op, NetworkPolicy{n.Allow, n.Deny, n.AllowHost}); err != nil {
		return box.Network{}, err
	}
	if err := firstOf(errors.Join(
		checkDNS(op, n.DNS), checkSearch(op, n.DNSSearch), checkCACerts(op, n.CACerts), checkProxy(op, n.Proxy),
		checkRange(op, "kilobits per second up", n.UpKbps, 1, maxKbps),
		checkRange(op, "kilobits per second down", n.DownKbps, 1, maxKbps),
		checkRange(op, "connections", n.MaxConnections, 1, maxConnections),
		checkJoin(op, s.Name, n.Join), checkCapture(op, n.Capture),
	)); err != nil {
		return box.Network{}, err
	}
	return box.Network(n), nil
}

// checkNoNetwork refuses what makes no sense without a network.
func (s BoxSpec) checkNoNetwork(op string) error {
	n := s.Network
	if len(n.Allow)+len(n.Deny)+len(n.AllowHost)+len(n.Join)+len(n.DNS)+n.UpKbps+n.DownKbps+n.MaxConnections == 0 &&
		n.Capture == "" && n.Proxy == "" && len(s.Ports) == 0 && len(s.Secrets) == 0 {
		return nil
	}
	return invalid(op, "leave the network enabled, or leave out rules, ports and secrets",
		errors.New("a box without a network can't have anything of one"))
}

// NetworkPolicy is the part of a [Network] that can be changed while the box runs:
// Allow, Deny and AllowHost.
type NetworkPolicy struct {
	Allow     []string `json:"allow"`
	Deny      []string `json:"deny"`
	AllowHost []int    `json:"allowHost"`
}

// SetNetworkPolicy replaces the rules of the box's network, for now and later starts.
// Connections that the new rules don't allow are reset before it returns.
func (b *Box) SetNetworkPolicy(ctx context.Context, p NetworkPolicy) error {
	const op = "change the network's rules"
	if err := checkPolicy(op, p); err != nil {
		return err
	}
	return b.reconfigure(ctx, op, func(c *box.Config) error {
		if !c.Network.Enabled() {
			return errNoNetwork(op, b.config.Label())
		}
		c.Network.Allow, c.Network.Deny, c.Network.AllowHost = p.Allow, p.Deny, p.AllowHost
		return nil
	}, func(ctx context.Context, r *run) error {
		return r.client.SetPolicy(ctx, policyConfig(p))
	})
}

// reconfigure changes the box's record by change and, if the box runs, has apply
// change its run as well. If apply fails, the record stays as it was.
func (b *Box) reconfigure(ctx context.Context, op string, change func(*box.Config) error, apply func(context.Context, *run) error) error {
	if err := b.rt.check(); err != nil {
		return err
	}
	l, err := b.rt.boxes.Lock(ctx, b.config.ID)
	if err != nil {
		return err
	}
	defer l.Unlock()
	return l.Configure(op, change, func() error {
		if !l.State.Status.Active() {
			return nil
		}
		r, err := b.rt.connect(ctx, b.config.ID)
		if errors.Is(err, ErrStopped) && b.rt.check() == nil {
			return nil // it ended this instant
		}
		if err != nil {
			return err
		}
		return apply(ctx, r)
	})
}

func errNoNetwork(op, label string) error {
	return &Error{
		Kind: ErrInvalidState, Op: op, Box: label, Err: errors.New("the box has no network"),
		Hint: "make another box with its network enabled",
	}
}

func policyConfig(p NetworkPolicy) policy.Config {
	c := policy.Config{Allow: p.Allow, Deny: p.Deny}
	for _, port := range p.AllowHost {
		c.AllowHost = append(c.AllowHost, uint16(port))
	}
	return c
}

func checkPolicy(op string, p NetworkPolicy) error {
	for _, port := range p.AllowHost {
		if port < 1 || port > 65535 {
			return invalid(op, "choose a port between 1 and 65535", fmt.Errorf("the host can't have a port %d", port))
		}
	}
	if _, err := policy.Compile(policyConfig(p)); err != nil {
		return &Error{Kind: ErrInvalidArgument, Op: op, Err: err}
	}
	return nil
}

func checkDNS(op string, servers []string) error {
	for _, s := range servers {
		if _, err := network.ParseServer(s); err != nil {
			return invalid(op, "give the address of a name server, such as 192.0.2.53 or [2001:db8::53]:5353", err)
		}
	}
	return nil
}

func checkSearch(op string, domains []string) error {
	for _, d := range domains {
		if _, err := policy.Canonical(d); err != nil {
			return invalid(op, "give domains, such as corp.example", fmt.Errorf("%.100q is not a domain", d))
		}
	}
	return nil
}

func checkCACerts(op string, texts []string) error {
	for _, text := range texts {
		rest, found := []byte(text), false
		for {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			if block.Type != "CERTIFICATE" {
				return invalid(op, "give certificates, and nothing else", fmt.Errorf("among the CA certificates is a %.40q", block.Type))
			}
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return invalid(op, "give certificates in PEM", fmt.Errorf("a CA certificate can't be read: %w", err))
			}
			found = true
		}
		if !found {
			return invalid(op, "give certificates in PEM: -----BEGIN CERTIFICATE-----", errors.New("no CA certificate is in the text given"))
		}
	}
	return nil
}

func checkProxy(op, proxy string) error {
	if proxy == "" || proxy == "none" {
		return nil
	}
	u, err := url.Parse(proxy)
	if err == nil && u.Host != "" && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		if _, secret := u.User.Password(); secret {
			return invalid(op, "set HTTPS_PROXY and HTTP_PROXY instead: they are read at each start, and not kept",
				errors.New("a password in the proxy's URL would be kept in clear"))
		}
		return nil
	}
	return invalid(op, "write it as http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT, or none", errors.New("the proxy is not a URL"))
}

func checkJoin(op, name string, networks []string) error {
	if len(networks) > maxJoined {
		return invalid(op, fmt.Sprintf("join %d or fewer", maxJoined), fmt.Errorf("a box can't be in %d shared networks", len(networks)))
	}
	for _, n := range networks {
		if n == "" || box.CheckName(n) != nil || n == string(NetworkEnabled) || n == string(NetworkNone) {
			return invalid(op, "use letters, digits, '_', '.' and '-'", fmt.Errorf("%.100q can't be the name of a shared network", n))
		}
	}
	if len(networks) > 0 && name == "" {
		return invalid(op, "give the box a name", errors.New("in a shared network boxes are known by their names, and this one has none"))
	}
	return nil
}

func checkCapture(op, path string) error {
	if path == "" || filepath.IsAbs(path) {
		return nil
	}
	return invalid(op, "give an absolute path", fmt.Errorf("%.200q can't be the file to capture to", path))
}

// setNetwork tells what the box was given of a network.
func (i *BoxInfo) setNetwork(c *box.Config) {
	n := Network(c.Network)
	n.Mode = cmp.Or(n.Mode, NetworkEnabled)
	for _, list := range []*[]string{&n.Allow, &n.Deny, &n.DNS, &n.DNSSearch, &n.CACerts, &n.Join} {
		*list = notNil(*list)
	}
	if n.AllowHost == nil {
		n.AllowHost = []int{}
	}
	i.Network, i.Ports, i.Secrets = n, []Port{}, []SecretInfo{}
	for _, p := range c.Ports {
		i.Ports = append(i.Ports, portFrom(p))
	}
	for _, s := range c.Secrets {
		i.Secrets = append(i.Secrets, SecretInfo{Name: s.Name, Hosts: s.Hosts, Placeholder: placeholderOf(s), From: s.From})
	}
}
