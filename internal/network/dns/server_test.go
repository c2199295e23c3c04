package dns_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"github.com/boxlite-go/boxlite/internal/network/dns"
	"github.com/boxlite-go/boxlite/internal/network/policy"
)

var records = []string{
	"example.com. 60 A 1.1.1.1", "example.com. 60 AAAA 2606:4700::1", "example.com. 60 TXT secret", "example.com. 60 MX 10 mail.example.com.",
	"example.com. 60 HTTPS 1 . alpn=h2",
	"www.example.com. 300 CNAME cdn.example.net.", "cdn.example.net. 30 CNAME edge.example.net.", "edge.example.net. 60 A 1.1.1.2",
	"mixed.example.com. 60 A 10.0.0.1", "mixed.example.com. 60 A 1.1.1.3", "private.example.com. 60 A 10.0.0.1",
	"metadata.example.com. 0 A 169.254.169.254", "mapped.example.com. 0 AAAA 64:ff9b::a9fe:a9fe",
	"cloaked.example.com. 60 CNAME evil.example.", "evil.example. 60 A 1.1.1.4", "zero.example.com. 0 A 1.1.1.5",
}

func TestAnswers(t *testing.T) {
	open := policy.Config{}
	listed := policy.Config{Allow: []string{"example.com", "*.example.com"}}
	ranged := policy.Config{Allow: []string{"*.example.com", "10.0.0.0/8"}}
	denied := policy.Config{Deny: []string{"evil.example"}}
	for _, test := range []struct {
		about      string
		config     policy.Config
		name, kind string
		want       string
		denied     string
		isAsked    bool
	}{
		{"an address", listed, "example.com.", "A", "1.1.1.1", "", true},
		{"in any spelling", listed, "eXample.COM.", "A", "1.1.1.1", "", true},
		{"of IPv6", listed, "example.com.", "AAAA", "2606:4700::1", "", true},
		{"aliases", listed, "www.example.com.", "A", "cdn.example.net. edge.example.net. 1.1.1.2", "", true},
		{"mail", listed, "example.com.", "MX", "10 mail.example.com.", "", true},
		{"no tunnel", listed, "example.com.", "TXT", "", "", false},
		{"no keys of ECH", listed, "example.com.", "HTTPS", "", "", false},
		{"nor where names are denied", denied, "example.com.", "HTTPS", "", "", false},
		{"what is not on the list", listed, "c2VjcmV0.evil.example.", "A", "NXDOMAIN", "c2vjcmv0.evil.example A (not on the allow list)", false},
		{"what does not exist", listed, "no.example.com.", "A", "NXDOMAIN", "", true},
		{"what is there otherwise", listed, "www.example.com.", "SRV", "cdn.example.net. edge.example.net.", "", true},
		{"rebinding", listed, "private.example.com.", "A", "", "private.example.com A (private address)", true},
		{"one of several", listed, "mixed.example.com.", "A", "1.1.1.3", "mixed.example.com A (private address)", true},
		{"with a rule", ranged, "mixed.example.com.", "A", "10.0.0.1 1.1.1.3", "", true},
		{"without a list", open, "private.example.com.", "A", "10.0.0.1", "", true},
		{"metadata", open, "metadata.example.com.", "A", "", "metadata.example.com A (cloud metadata)", true},
		{"metadata by NAT64", open, "mapped.example.com.", "AAAA", "", "mapped.example.com AAAA (cloud metadata)", true},
		{"texts without a list", open, "example.com.", "TXT", `"secret"`, "", true},
		{"all at once", open, "example.com.", "ANY", "NOTIMP", "", false},
		{"transfers", open, "example.com.", "AXFR", "NOTIMP", "", false},
		{"denied names", denied, "evil.example.", "A", "NXDOMAIN", "evil.example A evil.example", false},
		{"aliases of denied names", denied, "cloaked.example.com.", "A", "NXDOMAIN", "cloaked.example.com A evil.example", true},
		{"our names", listed, "HOST.boxlite.internal.", "A", "192.168.127.254", "", false},
		{"have no IPv6", listed, "host.boxlite.internal.", "AAAA", "", "", false},
		{"and none else", open, "other.boxlite.internal.", "A", "NXDOMAIN", "other.boxlite.internal A (a name of the host)", false},
		{"peers", listed, "db.", "A", "192.168.127.7", "", false},
		{"single labels", open, "printer.", "A", "NXDOMAIN", "", false},
		{"multicast DNS", open, "printer.local.", "A", "NXDOMAIN", "", false},
		{"unless the list has it", policy.Config{Allow: []string{"printer.local"}}, "printer.local.", "A", "NXDOMAIN", "", true},
		{"search domains", listed, "example.com.corp.example.", "A", "NXDOMAIN", "", false},
		{"rubbish", open, `a\ b.example.`, "A", "NXDOMAIN", `a b.example A (not a name)`, false},
		{"a reverse name", listed, "1.1.1.1.in-addr.arpa.", "PTR", "NXDOMAIN", "1.1.1.1.in-addr.arpa PTR (not on the allow list)", false},
	} {
		for _, tcp := range []bool{false, true} {
			r := newResolver(t, zone(t, records...))
			g := newGuest(t, test.config, func(o *dns.Options) {
				o.Search = func() []string { return []string{"corp.example"} }
				o.Lookup = func(name string) ([]netip.Addr, bool) {
					return []netip.Addr{netip.MustParseAddr("192.168.127.7")}, name == "db"
				}
			}, r)
			answer := g.ask(test.name, test.kind, tcp)
			if got := said(answer); got != test.want {
				t.Errorf("%s: %s %s: %q, want %q", test.about, test.name, test.kind, got, test.want)
			}
			if len(answer.Question) != 1 || answer.Question[0].Name != test.name {
				t.Errorf("%s: the question comes back as %v", test.about, answer.Question)
			}
			if got := strings.Join(g.denied, "; "); got != test.denied {
				t.Errorf("%s: denied %q, want %q", test.about, got, test.denied)
			}
			if got := len(r.questions()) > 0; got != test.isAsked {
				t.Errorf("%s: the resolver was asked: %q", test.about, r.questions())
			}
		}
	}
}

func TestIPv6OnlyWhereItIsOfUse(t *testing.T) {
	r := newResolver(t, zone(t, records...))
	g := newGuest(t, policy.Config{}, func(o *dns.Options) { o.IPv6 = func() bool { return false } }, r)
	if got := said(g.ask("example.com.", "AAAA", false)); got != "" || len(r.questions()) > 0 {
		t.Errorf("AAAA is answered with %q", got)
	}
}

func TestKeysThatEncryptNames(t *testing.T) {
	for hidden, want := range map[bool]int{false: 1, true: 0} {
		r := newResolver(t, zone(t, records...))
		g := newGuest(t, policy.Config{}, func(o *dns.Options) { o.NoECH = func() bool { return hidden } }, r)
		if got := g.ask("example.com.", "HTTPS", false); len(got.Answer) != want {
			t.Errorf("hidden %t: %v", hidden, got.Answer)
		}
	}
}

func TestNamesAreRemembered(t *testing.T) {
	r := newResolver(t, zone(t, append(records, "long.example.com. 3600 A 1.1.1.6")...))
	g := newGuest(t, policy.Config{}, nil, r)
	names := func(addr string) string { return strings.Join(g.Names(netip.MustParseAddr(addr)), " ") }
	for _, name := range []string{"zero", "WWW", "metadata", "long"} {
		g.ask(name+".example.com.", "A", false)
	}
	if got := names("1.1.1.5") + "|" + names("::ffff:1.1.1.2") + "|" + names("169.254.169.254") + "|" + names("1.1.1.1"); got != "zero.example.com|www.example.com||" {
		t.Errorf("names %q", got)
	}
	g.now = g.now.Add(10*time.Minute - 1)
	if got := names("1.1.1.5"); got != "zero.example.com" {
		t.Errorf("before ten minutes: %q", got)
	}
	g.now = g.now.Add(1)
	if got := names("1.1.1.5") + "|" + names("1.1.1.6"); got != "|long.example.com" {
		t.Errorf("after ten minutes: %q", got)
	}
	g.Forget()
	if got := names("1.1.1.6"); got != "" {
		t.Errorf("after Forget: %q", got)
	}
}

func TestRebindingWithoutTTL(t *testing.T) {
	answers := []string{"1.1.1.1", "10.0.0.1", "169.254.169.254", "127.0.0.1", "1.1.1.2"}
	var next atomic.Int32
	r := newResolver(t, func(w mdns.ResponseWriter, m *mdns.Msg) {
		zone(t, "a.example. 0 A "+answers[next.Add(1)-1])(w, m)
	})
	g := newGuest(t, policy.Config{Allow: []string{"a.example"}}, nil, r)
	var got []string
	for range answers {
		got = append(got, said(g.ask("a.example.", "A", false)))
	}
	if want := []string{"1.1.1.1", "", "", "", "1.1.1.2"}; !slices.Equal(got, want) {
		t.Errorf("answers %q", got)
	}
	if len(g.denied) != 3 {
		t.Errorf("denied %q", g.denied)
	}
}

func TestAnswersAreKeptForAsLongAsTheySay(t *testing.T) {
	r := newResolver(t, zone(t, records...))
	g := newGuest(t, policy.Config{}, nil, r)
	asked := func(want int) {
		t.Helper()
		if got := len(r.questions()); got != want {
			t.Errorf("the resolver was asked %d times, want %d", got, want)
		}
	}
	g.ask("www.example.com.", "A", false)
	g.now = g.now.Add(29 * time.Second)
	if ttl := g.ask("WWW.example.com.", "A", false).Answer[2].Header().Ttl; ttl != 60-29 {
		t.Errorf("TTL %d", ttl)
	}
	asked(1)
	g.now = g.now.Add(time.Second)
	g.ask("www.example.com.", "A", false)
	asked(2)

	no := g.ask("no.example.com.", "A", false)
	if len(no.Ns) != 1 || no.Ns[0].Header().Ttl != 300 {
		t.Errorf("a negative answer has the authorities %v", no.Ns)
	}
	g.now = g.now.Add(299 * time.Second)
	g.ask("no.example.com.", "A", false)
	asked(3)
	g.now = g.now.Add(time.Second)
	g.ask("no.example.com.", "A", false)
	asked(4)

	// What is kept has not been judged.
	g.ask("private.example.com.", "A", false)
	g.allow(policy.Config{Allow: []string{"private.example.com"}})
	if got := said(g.ask("private.example.com.", "A", false)); got != "" {
		t.Errorf("after a change of the policy: %q", got)
	}
	asked(5)
}

func TestLargeAnswers(t *testing.T) {
	var many []string
	for i := range 200 {
		many = append(many, fmt.Sprintf("many.example. 60 A 1.1.2.%d", i))
	}
	r := newResolver(t, zone(t, many...))
	g := newGuest(t, policy.Config{}, nil, r)
	if got := g.ask("many.example.", "A", true); len(got.Answer) != 200 {
		t.Errorf("over TCP: %d records", len(got.Answer))
	}
	if got := g.ask("many.example.", "A", false); !got.Truncated || len(got.Answer) != 0 {
		t.Errorf("over UDP: %s", said(got))
	}
	m := new(mdns.Msg)
	m.SetQuestion("many.example.", mdns.TypeA)
	m.SetEdns0(4096, true)
	if got := g.exchange(m, false); got.Truncated || len(got.Answer) != 200 || got.IsEdns0() == nil {
		t.Errorf("with EDNS: %s", said(got))
	}
}

func TestQueriesThatAreNotAnswered(t *testing.T) {
	g := newGuest(t, policy.Config{}, nil)
	for about, change := range map[string]func(m *mdns.Msg){
		"REFUSED": func(m *mdns.Msg) { m.Question[0].Qclass = mdns.ClassCHAOS },
		"NOTIMP":  func(m *mdns.Msg) { m.Opcode = mdns.OpcodeNotify },
		"FORMERR": func(m *mdns.Msg) { m.Question = append(m.Question, m.Question[0]) },
	} {
		m := new(mdns.Msg)
		m.SetQuestion("example.com.", mdns.TypeA)
		change(m)
		if got := said(g.exchange(m, false)); got != about {
			t.Errorf("%s: %s", about, got)
		}
	}
	if got := said(g.ask("example.com.", "A", false)); got != "SERVFAIL" {
		t.Errorf("without resolvers: %s", got)
	}
	response := make([]byte, 12)
	response[2] = 0x80
	for _, b := range [][]byte{nil, make([]byte, 11), response} {
		if got := g.Answer(t.Context(), b, false); got != nil {
			t.Errorf("%x is answered with %x", b, got)
		}
	}
}
