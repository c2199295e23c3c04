package dns_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mdns "github.com/miekg/dns"

	"github.com/boxlite-go/boxlite/internal/network/dns"
	"github.com/boxlite-go/boxlite/internal/network/policy"
)

// failing answers with an error code.
func failing(code int) func(w mdns.ResponseWriter, m *mdns.Msg) {
	return func(w mdns.ResponseWriter, m *mdns.Msg) { w.WriteMsg(new(mdns.Msg).SetRcode(m, code)) }
}

func TestTheNextResolverIsAsked(t *testing.T) {
	good := newResolver(t, zone(t, records...))
	for about, bad := range map[string]*resolver{
		"fails":         newResolver(t, failing(mdns.RcodeServerFailure)),
		"refuses":       newResolver(t, failing(mdns.RcodeRefused)),
		"talks rubbish": newResolver(t, failing(mdns.RcodeFormatError)),
		"is not there":  {addr: netip.MustParseAddrPort("127.0.0.1:1")},
	} {
		if got := said(newGuest(t, policy.Config{}, nil, bad, good).ask("example.com.", "A", false)); got != "1.1.1.1" {
			t.Errorf("one %s: %q", about, got)
		}
		if got := said(newGuest(t, policy.Config{}, nil, bad).ask("example.com.", "A", false)); got != "SERVFAIL" {
			t.Errorf("the only one %s: %q", about, got)
		}
	}
}

func TestResolversWithoutEDNS(t *testing.T) {
	r := newResolver(t, func(w mdns.ResponseWriter, m *mdns.Msg) {
		if m.IsEdns0() != nil {
			failing(mdns.RcodeFormatError)(w, m)
			return
		}
		zone(t, records...)(w, m)
	})
	if got := said(newGuest(t, policy.Config{}, nil, r).ask("example.com.", "A", false)); got != "1.1.1.1" {
		t.Errorf("answer %q", got)
	}
}

func TestForgedAnswersAreNotTaken(t *testing.T) {
	r := newResolver(t, func(w mdns.ResponseWriter, m *mdns.Msg) {
		rr, err := mdns.NewRR("example.com. 60 A 6.6.6.6")
		if err != nil {
			t.Error(err)
			return
		}
		for _, forge := range []func(m *mdns.Msg){
			func(m *mdns.Msg) { m.Id++ },
			func(m *mdns.Msg) { m.Question[0].Name = "evil.example." },
			func(m *mdns.Msg) { m.Question[0].Qtype = mdns.TypeAAAA },
			func(m *mdns.Msg) { m.Question[0].Qclass = mdns.ClassCHAOS },
			func(m *mdns.Msg) { m.Question = append(m.Question, m.Question[0]) },
			func(m *mdns.Msg) { m.Question = nil },
			func(m *mdns.Msg) { m.Response = false },
		} {
			forged := new(mdns.Msg).SetReply(m.Copy())
			forged.Answer = []mdns.RR{rr}
			forge(forged)
			w.WriteMsg(forged)
		}
		zone(t, records...)(w, m)
	})
	if got := said(newGuest(t, policy.Config{}, nil, r).ask("example.com.", "A", false)); got != "1.1.1.1" {
		t.Errorf("answer %q", got)
	}
}

func TestRecordsThatNobodyAskedFor(t *testing.T) {
	r := newResolver(t, func(w mdns.ResponseWriter, m *mdns.Msg) {
		answer := new(mdns.Msg).SetReply(m)
		for _, record := range []string{"other.example. 60 A 6.6.6.6", "loop.example. 60 CNAME loop.example.", "example.com. 60 AAAA 2606::6", "example.com. 60 A 1.1.1.1"} {
			rr, err := mdns.NewRR(record)
			if err != nil {
				t.Error(err)
				return
			}
			answer.Answer = append(answer.Answer, rr)
			answer.Extra = append(answer.Extra, rr)
			answer.Ns = append(answer.Ns, rr)
		}
		w.WriteMsg(answer)
	})
	g := newGuest(t, policy.Config{}, nil, r)
	answer := g.ask("example.com.", "A", false)
	if said(answer) != "1.1.1.1" || len(answer.Ns)+len(answer.Extra) > 0 {
		t.Errorf("answer %v", answer)
	}
	if got := g.Names(netip.MustParseAddr("6.6.6.6")); got != nil {
		t.Errorf("6.6.6.6 is %q", got)
	}
	if got := g.ask("loop.example.", "A", false); len(got.Answer) > 16 {
		t.Errorf("a loop is answered with %d records", len(got.Answer))
	}
}

func TestClientSubnetStaysHere(t *testing.T) {
	options := make(chan int, 1)
	r := newResolver(t, func(w mdns.ResponseWriter, m *mdns.Msg) {
		options <- len(m.IsEdns0().Option)
		zone(t, records...)(w, m)
	})
	m := new(mdns.Msg)
	m.SetQuestion("example.com.", mdns.TypeA)
	m.SetEdns0(1400, false)
	m.IsEdns0().Option = []mdns.EDNS0{&mdns.EDNS0_SUBNET{Code: mdns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: net.IPv4(192, 0, 2, 0)}}
	newGuest(t, policy.Config{}, nil, r).exchange(m, false)
	if n := <-options; n != 0 {
		t.Errorf("the resolver gets %d options", n)
	}
}

// A resolver that never answers costs its time, which is not waited for here.
func TestSlowResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &resolver{addr: netip.MustParseAddrPort("192.0.2.1:53")}
		fast := &resolver{addr: netip.MustParseAddrPort("192.0.2.2:53")}
		g := newGuest(t, policy.Config{}, func(o *dns.Options) {
			o.Timeout = 2 * time.Second
			o.Dial = func(_ context.Context, _ string, addr netip.AddrPort) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go answerOnce(t, theirs, addr == fast.addr)
				return ours, nil
			}
		}, slow, fast)
		start := time.Now()
		if got := said(g.ask("example.com.", "A", false)); got != "1.1.1.1" {
			t.Errorf("answer %q", got)
		}
		if got := time.Since(start); got != 2*time.Second {
			t.Errorf("it took %v", got)
		}
		g.Forget()
		if said(g.ask("example.com.", "A", false)); time.Since(start) != 2*time.Second {
			t.Error("the slow one is asked first again")
		}
	})
}

// answerOnce reads a query from a pipe, and perhaps answers it.
func answerOnce(t *testing.T, conn net.Conn, isFast bool) {
	defer conn.Close()
	b := make([]byte, 512)
	n, err := conn.Read(b)
	if err != nil {
		return
	}
	if !isFast {
		conn.Read(b) // until the other end closes
		return
	}
	m := new(mdns.Msg)
	if err := m.Unpack(b[:n]); err != nil {
		t.Error(err)
		return
	}
	rr, err := mdns.NewRR("example.com. 60 A 1.1.1.1")
	if err != nil {
		t.Error(err)
		return
	}
	answer := new(mdns.Msg).SetReply(m)
	answer.Answer = []mdns.RR{rr}
	packed, err := answer.Pack()
	if err != nil {
		t.Error(err)
		return
	}
	conn.Write(packed)
}

func TestEqualQuestionsShareAnExchange(t *testing.T) {
	const n = 50
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var dials int
		g := newGuest(t, policy.Config{}, func(o *dns.Options) {
			o.Dial = func(context.Context, string, netip.AddrPort) (net.Conn, error) {
				dials++
				ours, theirs := net.Pipe()
				go func() {
					<-release
					answerOnce(t, theirs, true)
				}()
				return ours, nil
			}
		}, &resolver{addr: netip.MustParseAddrPort("192.0.2.2:53")})
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		answers := make([]string, n)
		for i := range n {
			wait.Go(func() { answers[i] = said(g.ask("example.com.", "A", false)) })
		}
		query, err := new(mdns.Msg).SetQuestion("example.com.", mdns.TypeA).Pack()
		if err != nil {
			t.Fatal(err)
		}
		wait.Go(func() { g.Answer(ctx, query, false) })
		synctest.Wait()
		cancel() // one who gives up does not spoil it for the others
		synctest.Wait()
		close(release)
		wait.Wait()
		if dials != 1 || slices.ContainsFunc(answers, func(s string) bool { return s != "1.1.1.1" }) {
			t.Errorf("%d exchanges, answers %q", dials, answers)
		}
	})
}

func TestNothingGoesOnWhenNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		g := newGuest(t, policy.Config{}, func(o *dns.Options) {
			o.Dial = func(ctx context.Context, _ string, _ netip.AddrPort) (net.Conn, error) {
				<-ctx.Done()
				close(ended)
				return nil, errors.New("given up")
			}
		}, &resolver{addr: netip.MustParseAddrPort("192.0.2.2:53")})
		ctx, cancel := context.WithCancel(t.Context())
		query, err := new(mdns.Msg).SetQuestion("example.com.", mdns.TypeA).Pack()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			synctest.Wait()
			cancel()
		}()
		g.Answer(ctx, query, false)
		select {
		case <-ended:
		default:
			t.Error("the exchange goes on")
		}
	})
}

func TestServe(t *testing.T) {
	r := newResolver(t, zone(t, records...))
	g := newGuest(t, policy.Config{}, nil, r)
	for network, serve := range map[string]func(context.Context, net.Conn){"udp": g.ServeUDP, "tcp": g.ServeTCP} {
		ctx, cancel := context.WithCancel(t.Context())
		ours, theirs := net.Pipe()
		ended := make(chan struct{})
		go func() {
			serve(ctx, theirs)
			close(ended)
		}()
		client := &mdns.Conn{Conn: ours}
		if network == "udp" {
			client.Conn = packetConn{ours}
		}
		for _, name := range []string{"example.com.", "no.example.com.", "www.example.com."} {
			m := new(mdns.Msg).SetQuestion(name, mdns.TypeA)
			if err := client.WriteMsg(m); err != nil {
				t.Fatal(err)
			}
			answer, err := client.ReadMsg()
			if err != nil || answer.Id != m.Id {
				t.Fatalf("%s: %v, %v", network, answer, err)
			}
		}
		cancel()
		<-ended
		if _, err := ours.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: the connection is still open", network)
		}
	}
}

// packetConn makes the client send datagrams over a pipe.
type packetConn struct{ net.Conn }

func (c packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := c.Read(b)
	return n, nil, err
}

func (c packetConn) WriteTo(b []byte, _ net.Addr) (int, error) { return c.Write(b) }

func TestReadResolvConf(t *testing.T) {
	c := dns.ReadResolvConf(strings.NewReader("# by hand\nnameserver 192.0.2.1 # first\nnameserver ::ffff:192.0.2.2\nnameserver fe80::1%eth0\n" +
		"nameserver nonsense\ndomain old.example\nsearch a.example b.example\noptions ndots:5\nnameserver"))
	if want := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:53"), netip.MustParseAddrPort("192.0.2.2:53"), netip.MustParseAddrPort("[fe80::1%eth0]:53")}; !slices.Equal(c.Servers, want) {
		t.Errorf("servers %v", c.Servers)
	}
	if want := []string{"a.example", "b.example"}; !slices.Equal(c.Search, want) {
		t.Errorf("search domains %v", c.Search)
	}
	if c := dns.ReadResolvConf(strings.NewReader("")); len(c.Servers) != 1 || c.Servers[0].String() != "127.0.0.1:53" {
		t.Errorf("an empty file means %v", c)
	}
}
