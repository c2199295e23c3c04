package policy_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite/internal/network/policy"
)

// ask is a question in the words of a test.
type ask struct {
	flow  string // "tcp 192.0.2.1:443"
	names string // told for the address
	seen  string // "-" means that nothing is seen
	host  bool
	name  string // to resolve
	addr  string // in the answer for name
}

func (a ask) question(t testing.TB) policy.Question {
	t.Helper()
	q := policy.Question{Name: a.name, Host: a.host, Names: strings.Fields(a.names)}
	if a.flow == "" {
		q.Kind = policy.Resolve
		if a.addr != "" {
			q.Kind = policy.Answer
			q.Addr = netip.AddrPortFrom(netip.MustParseAddr(a.addr), 0)
		}
		return q
	}
	protocol, addr, _ := strings.Cut(a.flow, " ")
	q.Protocol = policy.Protocol(protocol)
	if protocol == "icmp" {
		q.Addr = netip.AddrPortFrom(netip.MustParseAddr(addr), 0)
	} else {
		q.Addr = netip.MustParseAddrPort(addr)
	}
	if a.seen != "" {
		q.Kind = policy.Seen
		q.Name = strings.TrimPrefix(a.seen, "-")
	}
	return q
}

func compile(t testing.TB, c policy.Config) *policy.Policy {
	t.Helper()
	p, err := policy.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDecide(t *testing.T) {
	open := policy.Config{}
	named := policy.Config{Allow: []string{"example.com", "*.example.org:443", "time.example.net:123/udp", "q.example.net:443/udp"}}
	addressed := policy.Config{Allow: []string{"8.8.8.0/24", "10.1.0.0/16:5432", "[2001:db8::1]:443/tcp", "0.0.0.0/0:7777", "[::/0]:7777"}}
	denied := policy.Config{Deny: []string{"evil.example", "*.bad.example:443", "203.0.113.0/24", "198.51.100.1:25/tcp"}}
	both := policy.Config{Allow: []string{"*.example.com", "8.8.8.0/24", "2000::/3"}, Deny: []string{"private.example.com", "8.8.8.8"}}
	cloud := policy.Config{Allow: []string{"169.254.169.254:80", "fd00:ec2::254", "100.100.100.200/32"}}
	host := policy.Config{AllowHost: []uint16{8080}, Allow: []string{"192.0.2.7:22", "192.0.2.0/24"}}
	const alias, alias6 = "192.168.127.254", "fd62:6f78:6c69:7465::fe"

	for _, test := range []struct {
		about  string
		config policy.Config
		ask    ask
		want   string // verdict and rule
	}{
		{"without rules all is open", open, ask{flow: "tcp 8.8.8.8:443"}, "allow (no allow list)"},
		{"private addresses as well", open, ask{flow: "tcp 10.0.0.1:22"}, "allow (no allow list)"},
		{"and UDP and ICMP", open, ask{flow: "udp 8.8.8.8:443"}, "allow (no allow list)"},
		{"", open, ask{flow: "icmp 8.8.8.8"}, "allow (no allow list)"},
		{"but not metadata", open, ask{flow: "tcp 169.254.169.254:80"}, "deny (cloud metadata)"},
		{"in any spelling", open, ask{flow: "tcp [::ffff:169.254.169.254]:80"}, "deny (cloud metadata)"},
		{"NAT64", open, ask{flow: "tcp [64:ff9b::a9fe:a9fe]:80"}, "deny (cloud metadata)"},
		{"NAT64 of a network", open, ask{flow: "tcp [64:ff9b:1:a9fe:a9:fe00::]:80"}, "deny (cloud metadata)"},
		{"NAT64 of a network", open, ask{flow: "tcp [64:ff9b:1::a9fe:a9fe]:80"}, "deny (cloud metadata)"},
		{"6to4", open, ask{flow: "tcp [2002:a9fe:a9fe::1]:80"}, "deny (cloud metadata)"},
		{"IPv4-compatible", open, ask{flow: "tcp [::a9fe:a9fe]:80"}, "deny (cloud metadata)"},
		{"IPv4-translated", open, ask{flow: "tcp [::ffff:0:a9fe:a9fe]:80"}, "deny (cloud metadata)"},
		{"ISATAP", open, ask{flow: "tcp [2001:db8::5efe:a9fe:a9fe]:80"}, "deny (cloud metadata)"},
		{"Teredo", open, ask{flow: "tcp [2001:0:808:808::5601:5601]:80"}, "deny (cloud metadata)"},
		{"of containers", open, ask{flow: "tcp 169.254.170.2:80"}, "deny (cloud metadata)"},
		{"of AWS over IPv6", open, ask{flow: "tcp [fd00:ec2::254]:80"}, "deny (cloud metadata)"},
		{"link-local", open, ask{flow: "tcp [fe80::a9fe:a9fe]:80"}, "deny (cloud metadata)"},
		{"of Alibaba", open, ask{flow: "tcp 100.100.100.200:80"}, "deny (cloud metadata)"},
		{"of Azure", open, ask{flow: "tcp 168.63.129.16:80"}, "deny (cloud metadata)"},
		{"of Oracle", open, ask{flow: "tcp 192.0.0.192:80"}, "deny (cloud metadata)"},
		{"nor loopback", open, ask{flow: "tcp 127.0.0.1:80"}, "deny (loopback)"},
		{"", open, ask{flow: "tcp [::1]:80"}, "deny (loopback)"},
		{"", open, ask{flow: "tcp [64:ff9b::7f00:1]:80"}, "deny (loopback)"},
		{"nor nowhere", open, ask{flow: "tcp 0.0.0.0:80"}, "deny (unspecified address)"},
		{"nor everywhere", open, ask{flow: "udp 239.1.1.1:80"}, "deny (multicast)"},
		{"", open, ask{flow: "udp 255.255.255.255:67"}, "deny (broadcast)"},
		{"nor its own network", open, ask{flow: "tcp 192.168.127.9:80"}, "deny (the box's own network)"},
		{"nor the host", open, ask{flow: "tcp 192.0.2.1:80", host: true}, "deny (the host itself)"},
		{"ICMP has no ports", open, ask{flow: "tcp 8.8.8.8:0"}, "deny (not a flow)"},
		{"there are no other protocols", open, ask{flow: "sctp 8.8.8.8:80"}, "deny (not a flow)"},

		{"a name's flow must show the name", named, ask{flow: "tcp 1.1.1.1:443", names: "example.com"}, "inspect example.com"},
		{"and does", named, ask{flow: "tcp 1.1.1.1:443", names: "example.com", seen: "Example.COM."}, "allow example.com"},
		{"or does not", named, ask{flow: "tcp 1.1.1.1:443", names: "example.com", seen: "-"}, "deny (no name seen)"},
		{"or shows another", named, ask{flow: "tcp 1.1.1.1:443", names: "example.com", seen: "other.example"}, "deny (not on the allow list)"},
		{"or another allowed one", named, ask{flow: "tcp 1.1.1.1:443", names: "example.com", seen: "a.example.org"}, "deny (another name than was looked up)"},
		{"or its address", named, ask{flow: "tcp 1.1.1.1:80", names: "example.com", seen: "1.1.1.1"}, "deny (no name seen)"},
		{"or another address", named, ask{flow: "tcp 1.1.1.1:80", names: "example.com", seen: "[::1]"}, "deny (another name than was looked up)"},
		{"both names are looked up", named, ask{flow: "tcp 1.1.1.1:443", names: "example.com a.example.org", seen: "a.example.org"}, "allow *.example.org:443"},
		{"raw IP", named, ask{flow: "tcp 1.1.1.1:443"}, "deny (not on the allow list)"},
		{"raw IP with a name", named, ask{flow: "tcp 1.1.1.1:443", seen: "example.com"}, "deny (not on the allow list)"},
		{"any depth", named, ask{flow: "tcp 1.1.1.1:443", names: "a.b.example.org"}, "inspect *.example.org:443"},
		{"not itself", named, ask{flow: "tcp 1.1.1.1:443", names: "example.org"}, "deny (not on the allow list)"},
		{"no suffix of a label", named, ask{flow: "tcp 1.1.1.1:443", names: "bexample.org"}, "deny (not on the allow list)"},
		{"not other ports", named, ask{flow: "tcp 1.1.1.1:80", names: "a.example.org"}, "deny (not on the allow list)"},
		{"TCP only", named, ask{flow: "udp 1.1.1.1:53", names: "example.com"}, "deny (not on the allow list)"},
		{"UDP where a rule says so", named, ask{flow: "udp 1.1.1.1:123", names: "time.example.net"}, "inspect time.example.net:123/udp"},
		{"never QUIC", named, ask{flow: "udp 1.1.1.1:443", names: "q.example.net"}, "deny (QUIC)"},
		{"no ICMP", named, ask{flow: "icmp 1.1.1.1", names: "example.com"}, "deny (not on the allow list)"},
		{"rebinding", named, ask{flow: "tcp 10.0.0.1:443", names: "example.com"}, "deny (private address)"},
		{"rebinding", named, ask{flow: "tcp 100.64.0.1:443", names: "example.com"}, "deny (carrier-grade NAT)"},
		{"rebinding", named, ask{flow: "tcp 169.254.169.254:80", names: "example.com"}, "deny (cloud metadata)"},
		{"rebinding", named, ask{flow: "tcp [64:ff9b::a00:1]:443", names: "example.com"}, "deny (private address)"},
		{"NAT64 of what is public", named, ask{flow: "tcp [64:ff9b::808:808]:443", names: "example.com"}, "inspect example.com"},

		{"an address rule needs no name", addressed, ask{flow: "tcp 8.8.8.8:443"}, "allow 8.8.8.0/24"},
		{"and takes any", addressed, ask{flow: "tcp 8.8.8.8:443", seen: "other.example"}, "allow 8.8.8.0/24"},
		{"all protocols", addressed, ask{flow: "icmp 8.8.8.8"}, "allow 8.8.8.0/24"},
		{"QUIC by address", addressed, ask{flow: "udp 8.8.8.8:443"}, "allow 8.8.8.0/24"},
		{"IPv4-mapped is IPv4", addressed, ask{flow: "tcp [::ffff:8.8.8.8]:443"}, "allow 8.8.8.0/24"},
		{"private ones named", addressed, ask{flow: "tcp 10.1.2.3:5432"}, "allow 10.1.0.0/16:5432"},
		{"with ports no ICMP", addressed, ask{flow: "icmp 10.1.2.3"}, "deny (not on the allow list)"},
		{"one protocol", addressed, ask{flow: "udp [2001:db8::1]:443"}, "deny (not on the allow list)"},
		{"any address", addressed, ask{flow: "tcp 9.9.9.9:7777"}, "allow 0.0.0.0/0:7777"},
		{"is not metadata", addressed, ask{flow: "tcp 169.254.169.254:7777"}, "deny (cloud metadata)"},
		{"nor by NAT64", addressed, ask{flow: "tcp [64:ff9b::a9fe:a9fe]:7777"}, "deny (cloud metadata)"},
		{"nor loopback", addressed, ask{flow: "tcp 127.0.0.1:7777"}, "deny (loopback)"},
		{"both forms must be allowed", both, ask{flow: "tcp [2002:909:909::1]:443"}, "deny (not on the allow list)"},
		{"and none denied", both, ask{flow: "tcp [2002:808:808::1]:443"}, "deny 8.8.8.8"},
		{"metadata by a rule for it", cloud, ask{flow: "tcp 169.254.169.254:80"}, "allow 169.254.169.254:80"},
		{"just that", cloud, ask{flow: "tcp 169.254.170.2:80"}, "deny (cloud metadata)"},
		{"IPv6", cloud, ask{flow: "tcp [fd00:ec2::254]:80"}, "allow fd00:ec2::254"},
		{"in carrier-grade NAT", cloud, ask{flow: "tcp 100.100.100.200:80"}, "allow 100.100.100.200/32"},

		{"denied address", denied, ask{flow: "tcp 203.0.113.9:80"}, "deny 203.0.113.0/24"},
		{"denied port", denied, ask{flow: "tcp 198.51.100.1:25"}, "deny 198.51.100.1:25/tcp"},
		{"other port", denied, ask{flow: "tcp 198.51.100.1:26"}, "inspect (no allow list)"},
		{"denied names are looked for", denied, ask{flow: "tcp 1.1.1.1:443"}, "inspect (no allow list)"},
		{"and found", denied, ask{flow: "tcp 1.1.1.1:443", seen: "EVIL.example"}, "deny evil.example"},
		{"and found", denied, ask{flow: "tcp 1.1.1.1:443", seen: "a.b.bad.example"}, "deny *.bad.example:443"},
		{"others pass", denied, ask{flow: "tcp 1.1.1.1:443", seen: "good.example"}, "allow (no allow list)"},
		{"hidden ones don't", denied, ask{flow: "tcp 1.1.1.1:443", seen: "-"}, "deny (no name seen)"},
		{"nor rubbish", denied, ask{flow: "tcp 1.1.1.1:443", seen: "a b"}, "deny (not a name)"},
		{"an address hides nothing", denied, ask{flow: "tcp 1.1.1.1:80", seen: "1.1.1.1"}, "allow (no allow list)"},
		{"QUIC hides", denied, ask{flow: "udp 1.1.1.1:443"}, "deny (QUIC)"},
		{"on other ports, too", denied, ask{flow: "udp 1.1.1.1:53", names: "good.example"}, "inspect (no allow list)"},
		{"ICMP has no names", denied, ask{flow: "icmp 1.1.1.1"}, "allow (no allow list)"},
		{"names that were told", denied, ask{flow: "udp 1.1.1.1:53", names: "evil.example"}, "deny evil.example"},
		{"another at the same address may be meant", denied, ask{flow: "tcp 1.1.1.1:443", names: "evil.example good.example"}, "inspect (no allow list)"},
		{"or not", denied, ask{flow: "tcp 1.1.1.1:443", names: "evil.example good.example", seen: "evil.example"}, "deny evil.example"},
		{"deny wins", both, ask{flow: "tcp 8.8.8.8:80"}, "deny 8.8.8.8"},
		{"deny wins", both, ask{flow: "tcp 1.1.1.1:443", names: "private.example.com"}, "deny private.example.com"},
		{"for its name alone", both, ask{flow: "tcp 1.1.1.1:443", names: "private.example.com www.example.com", seen: "www.example.com"}, "allow *.example.com"},
		{"which must not be told", both, ask{flow: "tcp 1.1.1.1:443", names: "private.example.com www.example.com", seen: "private.example.com"}, "deny private.example.com"},
		{"deny wins over addresses", both, ask{flow: "tcp 8.8.8.9:443", seen: "private.example.com"}, "deny private.example.com"},

		{"a port of the host", host, ask{flow: "tcp " + alias + ":8080", host: true}, "allow allow-host 8080"},
		{"", host, ask{flow: "udp [" + alias6 + "]:8080", host: true}, "allow allow-host 8080"},
		{"at its address", host, ask{flow: "tcp 192.0.2.9:8080", host: true}, "allow allow-host 8080"},
		{"no other", host, ask{flow: "tcp " + alias + ":8081", host: true}, "deny (the host itself)"},
		{"a rule for a range is not for the host", host, ask{flow: "tcp 192.0.2.9:22", host: true}, "deny (the host itself)"},
		{"a rule for just it is", host, ask{flow: "tcp 192.0.2.7:22", host: true}, "allow 192.0.2.7:22"},
		{"no ping", host, ask{flow: "icmp " + alias, host: true}, "deny (the host itself)"},
		{"denied ranges don't mean the alias", policy.Config{AllowHost: []uint16{1}, Deny: []string{"192.168.0.0/16"}}, ask{flow: "tcp " + alias + ":1", host: true}, "allow allow-host 1"},
		{"but the host's addresses", policy.Config{AllowHost: []uint16{1}, Deny: []string{"192.168.0.0/16"}}, ask{flow: "tcp 192.168.0.1:1", host: true}, "deny 192.168.0.0/16"},

		{"names on the list", named, ask{name: "EXAMPLE.com."}, "allow example.com"},
		{"names below", named, ask{name: "x.y.example.org"}, "allow *.example.org:443"},
		{"no others", named, ask{name: "secret.other.example"}, "deny (not on the allow list)"},
		{"addresses resolve no names", addressed, ask{name: "example.com"}, "deny (not on the allow list)"},
		{"denied names", denied, ask{name: "evil.example"}, "deny evil.example"},
		{"denied for some ports", denied, ask{name: "a.bad.example"}, "allow (no allow list)"},
		{"our names", open, ask{name: "x.boxlite.internal"}, "deny (a name of the host)"},
		{"localhost", open, ask{name: "a.LOCALHOST."}, "deny (a name of the host)"},
		{"rubbish", open, ask{name: "a..b"}, "deny (not a name)"},
		{"IDN", policy.Config{Allow: []string{"Bücher.example"}}, ask{name: "xn--bcher-kva.example"}, "allow Bücher.example"},
		{"IDN", policy.Config{Allow: []string{"xn--bcher-kva.example"}}, ask{name: "BÜCHER。example"}, "allow xn--bcher-kva.example"},

		{"public answers", named, ask{name: "example.com", addr: "1.1.1.1"}, "allow example.com"},
		{"private answers", named, ask{name: "example.com", addr: "10.0.0.1"}, "deny (private address)"},
		{"mapped answers", named, ask{name: "example.com", addr: "::ffff:10.0.0.1"}, "deny (private address)"},
		{"for other names", named, ask{name: "other.example", addr: "1.1.1.1"}, "deny (not on the allow list)"},
		{"private answers without a list", open, ask{name: "example.com", addr: "10.0.0.1"}, "allow (no allow list)"},
		{"loopback", open, ask{name: "example.com", addr: "127.0.0.1"}, "deny (loopback)"},
		{"metadata", open, ask{name: "example.com", addr: "169.254.169.254"}, "deny (cloud metadata)"},
		{"denied answers", denied, ask{name: "example.com", addr: "203.0.113.1"}, "deny 203.0.113.0/24"},
		{"private ones that a rule names", policy.Config{Allow: []string{"db.example", "10.0.0.0/8"}}, ask{name: "db.example", addr: "10.0.0.1"}, "allow db.example"},
	} {
		d := compile(t, test.config).Decide(test.ask.question(t))
		verdict := [...]string{"deny", "inspect", "allow"}[d.Verdict]
		if got := verdict + " " + d.Rule; got != test.want {
			t.Errorf("%s: %+v: %s, want %s", test.about, test.ask, got, test.want)
		}
	}
}
