package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

// networkFlags are those of run and create that say what the box may reach.
type networkFlags struct {
	networks             []string
	allow, deny          []string
	allowHost            []int
	dns, search, caCerts []string
	inspectTLS           bool
	proxy, capture       string
	up, down, connected  int
	publish, secrets     []string
}

func (f *networkFlags) define(c *cobra.Command) {
	flags := c.Flags()
	flags.StringArrayVar(&f.networks, "network", nil, "enabled, none, or the `NAME` of a network that boxes share; names may be repeated (default enabled)")
	flags.StringArrayVar(&f.allow, "allow-net", nil, "let the box reach `RULE`, and nothing that no rule allows: HOST, *.HOST, IP or CIDR, perhaps :PORTS, perhaps /tcp, /udp or /icmp; may be repeated")
	flags.StringArrayVar(&f.deny, "deny-net", nil, "keep the box from reaching `RULE`; may be repeated")
	flags.IntSliceVar(&f.allowHost, "allow-host", nil, "let the box reach `PORT` of this host, as host.boxlite.internal; may be repeated")
	flags.StringArrayVar(&f.dns, "dns", nil, "ask the name server `IP[:PORT]` (default this host's)")
	flags.StringArrayVar(&f.search, "dns-search", nil, "look up short names in `DOMAIN` (default this host's)")
	flags.BoolVar(&f.inspectTLS, "inspect-tls", false, "look into TLS, so that rules hold for each request in it")
	flags.StringArrayVar(&f.caCerts, "ca-cert", nil, "trust the certificate authorities in `FILE`, in PEM")
	flags.StringVar(&f.proxy, "proxy", "", "leave through the proxy `URL`, or none (default $HTTPS_PROXY, $HTTP_PROXY and $NO_PROXY)")
	flags.IntVar(&f.up, "net-tx-kbps", 0, "limit what leaves the box to `KILOBITS` per second")
	flags.IntVar(&f.down, "net-rx-kbps", 0, "limit what enters the box to `KILOBITS` per second")
	flags.IntVar(&f.connected, "net-connections", 0, "limit connections that are open at once to `N` (default 4096)")
	flags.StringVar(&f.capture, "pcap", "", "write all frames of the box to `FILE`")
	flags.StringArrayVarP(&f.publish, "publish", "p", nil, "make a port of the box reachable: `[[IP:]HOSTPORT:]PORT[/udp]`; 127.0.0.1 and any free port unless given")
	flags.StringArrayVar(&f.secrets, "secret", nil, "put a secret into requests to some hosts, unseen by the box: `NAME,host=HOST[,env=VARIABLE|file=PATH][,keep]`")
	_ = c.RegisterFlagCompletionFunc("network", cobra.FixedCompletions([]string{"enabled", "none"}, cobra.ShellCompDirectiveNoFileComp))
}

// apply adds what the flags say to the spec of a box.
func (f *networkFlags) apply(c *cobra.Command, s *boxlite.BoxSpec) error {
	n := boxlite.Network{
		Allow: f.allow, Deny: f.deny, AllowHost: f.allowHost, DNS: f.dns, DNSSearch: f.search,
		InspectTLS: f.inspectTLS, Proxy: f.proxy, UpKbps: f.up, DownKbps: f.down, MaxConnections: f.connected,
	}
	for _, name := range f.networks {
		switch name {
		case "enabled", "enable", "on":
			n.Mode = boxlite.NetworkEnabled
		case "none", "disabled", "disable", "off":
			n.Mode = boxlite.NetworkNone
		default:
			n.Join = append(n.Join, name)
		}
	}
	for flag, value := range map[string]int{"net-tx-kbps": f.up, "net-rx-kbps": f.down, "net-connections": f.connected} {
		if value < 0 {
			return usagef("--%s must not be below 0", flag)
		}
	}
	for _, path := range f.caCerts {
		text, err := os.ReadFile(path)
		if err != nil {
			return usagef("--ca-cert: %w", err)
		}
		n.CACerts = append(n.CACerts, string(text))
	}
	if f.capture != "" {
		path, err := filepath.Abs(f.capture)
		if err != nil {
			return usagef("--pcap: %w", err)
		}
		n.Capture = path
	}
	s.Network = n
	for _, text := range f.publish {
		port, err := parsePort(text)
		if err != nil {
			return usagef("--publish: %w", err)
		}
		s.Ports = append(s.Ports, port)
	}
	for _, text := range f.secrets {
		secret, err := parseSecret(text)
		if err != nil {
			return usagef("--secret: %w", err)
		}
		s.Secrets = append(s.Secrets, secret)
	}
	return nil
}

// parsePort reads [[IP:]HOSTPORT:]PORT[/PROTOCOL], as docker does.
func parsePort(text string) (boxlite.Port, error) {
	wrong := fmt.Errorf("%q is not [[IP:]HOSTPORT:]PORT[/udp]", text)
	rest, protocol, _ := strings.Cut(text, "/")
	p := boxlite.Port{Protocol: strings.ToLower(protocol)}
	host := ""
	if i := strings.LastIndex(rest, ":"); i >= 0 {
		host, rest = rest[:i], rest[i+1:]
		if i := strings.LastIndex(host, ":"); i >= 0 {
			p.HostIP, host = strings.Trim(host[:i], "[]"), host[i+1:]
			if p.HostIP == "" {
				return p, wrong
			}
		}
		if host != "" {
			n, err := strconv.ParseUint(host, 10, 16)
			if err != nil {
				return p, wrong
			}
			p.HostPort = int(n)
		}
	}
	n, err := strconv.ParseUint(rest, 10, 16)
	if err != nil || n == 0 {
		return p, wrong
	}
	p.GuestPort = int(n)
	return p, nil
}

// parseSecret reads NAME,host=HOST,… The value itself can't be given: arguments are
// seen by every user of the host.
func parseSecret(text string) (boxlite.Secret, error) {
	name, rest, _ := strings.Cut(text, ",")
	s := boxlite.Secret{Name: name}
	if strings.Contains(name, "=") {
		return s, fmt.Errorf("%q: begin with a name; values are not given on the command line, where everyone sees them", strings.SplitN(name, "=", 2)[0])
	}
	keep := false
	for _, field := range strings.Split(rest, ",") {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "host":
			s.Hosts = append(s.Hosts, value)
		case "env":
			s.From = "env:" + value
		case "file":
			path, err := filepath.Abs(value)
			if err != nil {
				return s, err
			}
			s.From = "file:" + path
		case "placeholder":
			s.Placeholder = value
		case "keep":
			keep = true
		case "":
		default:
			return s, fmt.Errorf("%s: there is no field %q: use host=, env=, file=, placeholder= and keep", name, key)
		}
	}
	if s.From == "" {
		s.From = "env:" + name
	}
	if !keep {
		return s, nil
	}
	value, err := boxlite.ReadSecret(s.From)
	if err != nil {
		return s, err
	}
	s.Value, s.From = value, ""
	return s, nil
}
