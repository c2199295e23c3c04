package dns_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/boxlite-go/boxlite/internal/network/dns"
	"github.com/boxlite-go/boxlite/internal/network/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// resolver is a DNS server on the loopback, over UDP and TCP at one port.
type resolver struct {
	addr netip.AddrPort

	mu    sync.Mutex
	asked []string // name and type, in order
}

func newResolver(t testing.TB, handle func(w mdns.ResponseWriter, m *mdns.Msg)) *resolver {
	t.Helper()
	r := &resolver{}
	handler := mdns.HandlerFunc(func(w mdns.ResponseWriter, m *mdns.Msg) {
		r.mu.Lock()
		r.asked = append(r.asked, m.Question[0].Name+" "+mdns.TypeToString[m.Question[0].Qtype])
		r.mu.Unlock()
		handle(w, m)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = listener.Addr().(*net.TCPAddr).AddrPort()
	packets, err := net.ListenPacket("udp", r.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range []*mdns.Server{{Listener: listener, Handler: handler}, {PacketConn: packets, Handler: handler}} {
		started, ended := make(chan struct{}), make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() {
			defer close(ended)
			if err := server.ActivateAndServe(); err != nil {
				t.Error(err)
			}
		}()
		<-started
		t.Cleanup(func() {
			server.Shutdown()
			<-ended
		})
	}
	return r
}

func (r *resolver) questions() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.asked...)
}

// zone answers from records, each by its name and type.
func zone(t testing.TB, records ...string) func(w mdns.ResponseWriter, m *mdns.Msg) {
	var all []mdns.RR
	for _, record := range records {
		rr, err := mdns.NewRR(record)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rr)
	}
	return func(w mdns.ResponseWriter, m *mdns.Msg) {
		answer := new(mdns.Msg)
		answer.SetReply(m)
		name, exists := m.Question[0].Name, false
		for _, rr := range all { // aliases come before what they lead to
			if !mdns.IsSubDomain(name, rr.Header().Name) || len(name) != len(rr.Header().Name) {
				continue
			}
			exists = true
			if cname, ok := rr.(*mdns.CNAME); ok {
				answer.Answer = append(answer.Answer, rr)
				name = cname.Target
			} else if rr.Header().Rrtype == m.Question[0].Qtype {
				answer.Answer = append(answer.Answer, rr)
			}
		}
		if !exists {
			answer.Rcode = mdns.RcodeNameError
		}
		if len(answer.Answer) == 0 {
			answer.Ns = append(answer.Ns, &mdns.SOA{
				Hdr: mdns.RR_Header{Name: ".", Rrtype: mdns.TypeSOA, Class: mdns.ClassINET, Ttl: 3600},
				Ns:  "ns.example.", Mbox: "mail.example.", Minttl: 1000,
			})
		}
		if _, isUDP := w.LocalAddr().(*net.UDPAddr); isUDP {
			answer.Truncate(upstreamSize)
		}
		w.WriteMsg(answer)
	}
}

const upstreamSize = 1232

// guest is a DNS server, and what it has refused.
type guest struct {
	*dns.Server
	t      testing.TB
	now    time.Time
	policy *policy.Policy

	mu     sync.Mutex
	denied []string
}

func newGuest(t testing.TB, c policy.Config, change func(o *dns.Options), resolvers ...*resolver) *guest {
	t.Helper()
	g := &guest{t: t, now: time.Unix(1e9, 0)}
	g.allow(c)
	o := dns.Options{
		Resolvers: func() []netip.AddrPort {
			var addrs []netip.AddrPort
			for _, r := range resolvers {
				addrs = append(addrs, r.addr)
			}
			return addrs
		},
		Policy: func() *policy.Policy { return g.policy },
		IPv6:   func() bool { return true },
		Static: map[string][]netip.Addr{"host.boxlite.internal": {netip.MustParseAddr("192.168.127.254")}},
		Denied: func(name, qtype, rule string) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.denied = append(g.denied, name+" "+qtype+" "+rule)
		},
		Now:     func() time.Time { return g.now },
		Timeout: time.Minute,
	}
	if change != nil {
		change(&o)
	}
	g.Server = dns.New(o)
	return g
}

func (g *guest) allow(c policy.Config) {
	g.t.Helper()
	p, err := policy.Compile(c)
	if err != nil {
		g.t.Fatal(err)
	}
	g.policy = p
}

// ask returns the answer to a question.
func (g *guest) ask(name, kind string, tcp bool) *mdns.Msg {
	g.t.Helper()
	m := new(mdns.Msg)
	m.SetQuestion(name, mdns.StringToType[kind])
	return g.exchange(m, tcp)
}

func (g *guest) exchange(m *mdns.Msg, tcp bool) *mdns.Msg {
	g.t.Helper()
	b, err := m.Pack()
	if err != nil {
		g.t.Fatal(err)
	}
	return g.unpack(m, g.Answer(context.Background(), b, tcp))
}

func (g *guest) unpack(m *mdns.Msg, b []byte) *mdns.Msg {
	g.t.Helper()
	answer := new(mdns.Msg)
	if err := answer.Unpack(b); err != nil {
		g.t.Fatalf("%v: %v", m.Question, err)
	}
	if answer.Id != m.Id || !answer.Response {
		g.t.Fatalf("%v is no answer to %v", answer, m)
	}
	return answer
}

// said returns an answer in short: the code if it is an error, or the records' content.
func said(m *mdns.Msg) string {
	if m.Rcode != mdns.RcodeSuccess {
		return mdns.RcodeToString[m.Rcode]
	}
	text := ""
	if m.Truncated {
		text = "TC"
	}
	for _, rr := range m.Answer {
		if text != "" {
			text += " "
		}
		text += rr.String()[len(rr.Header().String()):]
	}
	return text
}
