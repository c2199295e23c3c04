package dns_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/boxlite-go/boxlite/internal/network/dns"
	"github.com/boxlite-go/boxlite/internal/network/policy"
)

// FuzzDNSAnswer asks hostile questions. No answer is malformed, too large, or for a name
// that is not allowed.
func FuzzDNSAnswer(f *testing.F) {
	for _, kind := range []uint16{mdns.TypeA, mdns.TypeTXT, mdns.TypeANY} {
		m := new(mdns.Msg).SetQuestion("wWw.example.com.", kind)
		m.SetEdns0(1232, true)
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, false)
		f.Add(b[:len(b)-3], true)
	}
	f.Fuzz(func(t *testing.T, query []byte, tcp bool) {
		g := newGuest(t, policy.Config{Allow: []string{"*.example.com"}}, func(o *dns.Options) {
			o.Resolvers = func() []netip.AddrPort { return []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:53")} }
			o.Dial = func(_ context.Context, network string, _ netip.AddrPort) (net.Conn, error) {
				return &echo{tcp: network == "tcp", answer: func(q []byte) []byte {
					var m dnsmessage.Message
					if err := m.Unpack(q); err != nil {
						t.Fatalf("resolvers are asked %x: %v", q, err)
					}
					if d := exampleOnly(t).Decide(policy.Question{Kind: policy.Resolve, Name: m.Questions[0].Name.String()}); d.Verdict != policy.Allow {
						t.Fatalf("resolvers are asked for %s: %+v", m.Questions[0].Name, d)
					}
					return append(append([]byte{q[0], q[1], 0x80, 0}, q[4:10]...), append([]byte{0, 0}, q[12:]...)...)
				}}, nil
			}
		})
		answer := g.Answer(t.Context(), query, tcp)
		if answer == nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(answer); err != nil {
			t.Fatalf("%x is answered with %x: %v", query, answer, err)
		}
		if !m.Response || m.ID != binary.BigEndian.Uint16(query) || !tcp && len(answer) > 4096 {
			t.Fatalf("%x is answered with %x", query, answer)
		}
	})
}

// exampleOnly is the policy of the fuzz targets.
func exampleOnly(t testing.TB) *policy.Policy {
	p, err := policy.Compile(policy.Config{Allow: []string{"*.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// FuzzDNSUpstream gets hostile answers. The guest is never told an address that it must
// not be told.
func FuzzDNSUpstream(f *testing.F) {
	m := new(mdns.Msg).SetQuestion("www.example.com.", mdns.TypeA)
	m.Response = true
	for _, record := range records {
		rr, err := mdns.NewRR(record)
		if err != nil {
			f.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	m.Compress = true
	b, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[2:], false)
	f.Add(b[2:40], true)
	f.Fuzz(func(t *testing.T, said []byte, tcp bool) {
		g := newGuest(t, policy.Config{Allow: []string{"*.example.com"}}, func(o *dns.Options) {
			o.Resolvers = func() []netip.AddrPort { return []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:53")} }
			o.Dial = func(_ context.Context, network string, _ netip.AddrPort) (net.Conn, error) {
				return &echo{tcp: network == "tcp", answer: func(q []byte) []byte { return append([]byte{q[0], q[1]}, said...) }}, nil
			}
		})
		query, err := new(mdns.Msg).SetQuestion("www.example.com.", mdns.TypeA).Pack()
		if err != nil {
			t.Fatal(err)
		}
		answer := g.Answer(t.Context(), query, tcp)
		var m dnsmessage.Message
		if err := m.Unpack(answer); err != nil {
			t.Fatalf("%x becomes %x: %v", said, answer, err)
		}
		for _, r := range m.Answers {
			a, ok := r.Body.(*dnsmessage.AResource)
			if !ok {
				continue
			}
			if d := g.policy.Decide(policy.Question{Kind: policy.Answer, Name: "www.example.com", Addr: netip.AddrPortFrom(netip.AddrFrom4(a.A), 0)}); d.Verdict != policy.Allow {
				t.Fatalf("%x becomes %v: %+v", said, m, d)
			}
			if len(g.Names(netip.AddrFrom4(a.A))) != 1 {
				t.Fatalf("%v has no name", a)
			}
		}
	})
}

// echo is a connection to a resolver that makes its answer of the query.
type echo struct {
	net.Conn
	answer func(query []byte) []byte
	tcp    bool
	said   []byte
}

func (e *echo) Write(b []byte) (int, error) {
	if e.tcp {
		answer := e.answer(b[2:])
		answer = answer[:min(len(answer), 1<<16-1)]
		e.said = append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)
	} else {
		e.said = e.answer(b)
	}
	return len(b), nil
}

func (e *echo) Read(b []byte) (int, error) {
	if len(e.said) == 0 {
		return 0, net.ErrClosed
	}
	n := copy(b, e.said)
	if e.said = e.said[n:]; !e.tcp {
		e.said = nil
	}
	return n, nil
}

func (e *echo) Close() error { return nil }

func (e *echo) SetDeadline(time.Time) error { return nil }
