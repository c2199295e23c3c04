// Package dns is the DNS server of a box. It asks the host's resolvers, and tells the
// guest only what the policy allows: names, and the addresses that they are said to have.
//
// It remembers which addresses the guest was told for which names ([Server.Names]), as
// that is what makes a rule for a name allow a flow to an address.
//
// Queries come from the guest, answers from servers that may be anybody's: both may be
// hostile, and all that is kept of them is bounded. The host's /etc/hosts is not read.
package dns

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/boxlite-go/boxlite/internal/network/policy"
)

// Options are what a server needs of its surroundings. Policy and Resolvers must be
// given, the rest may be left out.
type Options struct {
	// Resolvers returns the servers that are asked, the best first.
	Resolvers func() []netip.AddrPort
	// Search returns the search domains in the guest's resolv.conf. Allowed names with
	// one of them appended are what a resolver tries first, and no attempt to get out.
	Search func() []string
	// Dial connects to a resolver: network is "udp" or "tcp".
	Dial func(ctx context.Context, network string, addr netip.AddrPort) (net.Conn, error)
	// Policy returns the policy as it is now.
	Policy func() *policy.Policy
	// IPv6 reports whether addresses of IPv6 are of use to the guest.
	IPv6 func() bool
	// Static are names of our own, in their canonical spelling. No policy is asked.
	Static map[string][]netip.Addr
	// Lookup finds names of other boxes in the guest's network, before all others. No
	// policy is asked. It is given canonical names.
	Lookup func(name string) ([]netip.Addr, bool)
	// NoECH reports whether clients must not learn the keys with which they would encrypt
	// the names that they ask for in TLS. Where names are allowed or denied by the policy,
	// they never do.
	NoECH func() bool
	// Denied is told of names that were refused, and of addresses that were removed from
	// answers; qtype is as in "AAAA".
	Denied func(name, qtype, rule string)
	// Now returns the time by which entries expire.
	Now func() time.Time
	// Timeout is how long a resolver may take before the next is asked; 2 s if zero.
	Timeout time.Duration
}

// Server answers queries. Many goroutines may use it.
type Server struct {
	options Options
	cache   cache
	names   names
	flights flights
	slots   chan struct{} // one for each exchange that may be under way
	last    atomic.Value  // the netip.AddrPort that has answered last
	queries atomic.Int64
}

// Queries returns how many questions were asked.
func (s *Server) Queries() int64 { return s.queries.Load() }

// maxExchanges is how many questions wait for resolvers at the same time.
const maxExchanges = 256

// New returns a server. It has no goroutines of its own.
func New(o Options) *Server {
	if o.Search == nil {
		o.Search = func() []string { return nil }
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, network string, addr netip.AddrPort) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr.String())
		}
	}
	if o.IPv6 == nil {
		o.IPv6 = func() bool { return false }
	}
	if o.NoECH == nil {
		o.NoECH = func() bool { return false }
	}
	if o.Lookup == nil {
		o.Lookup = func(string) ([]netip.Addr, bool) { return nil, false }
	}
	if o.Denied == nil {
		o.Denied = func(string, string, string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	return &Server{options: o, slots: make(chan struct{}, maxExchanges)}
}

// Names returns the names for which the guest has been told an address, as far as that
// still counts: for as long as the answer said, and at least ten minutes, as programs
// keep what they have looked up.
func (s *Server) Names(addr netip.Addr) []string {
	return s.names.of(addr, s.options.Now())
}

// Forget forgets all that was learnt: what the guest was told no longer counts.
func (s *Server) Forget() {
	s.names.clear()
	s.cache.clear()
}

// Answer answers one query. It returns nil for what deserves no answer: what is no query.
func (s *Server) Answer(ctx context.Context, query []byte, tcp bool) []byte {
	s.queries.Add(1)
	q, rcode := parseQuery(query)
	if q == nil {
		return nil
	}
	if rcode != dnsmessage.RCodeSuccess {
		return q.reply(result{rcode: rcode}, tcp)
	}
	return q.reply(s.answer(ctx, q), tcp)
}

// answer finds out what the guest is told.
func (s *Server) answer(ctx context.Context, q *query) result {
	written := q.question.Name.String()
	name, err := policy.Canonical(written)
	kind := q.question.Type
	if err != nil {
		s.options.Denied(printable(written), typeName(kind), "(not a name)")
		return result{rcode: dnsmessage.RCodeNameError}
	}
	if addrs, ok := s.options.Lookup(name); ok {
		return s.local(q, name, addrs)
	}
	if addrs, ok := s.options.Static[name]; ok {
		return s.local(q, name, addrs)
	}
	p := s.options.Policy()
	if d := p.Decide(policy.Question{Kind: policy.Resolve, Name: name}); d.Verdict != policy.Allow {
		if !s.isSearched(p, name) {
			s.options.Denied(name, typeName(kind), d.Rule)
		}
		return result{rcode: dnsmessage.RCodeNameError}
	}
	switch {
	case s.isForNobody(p, name):
		return result{rcode: dnsmessage.RCodeNameError}
	case !s.isForwarded(p, kind):
		return result{}
	}
	found, err := s.lookup(ctx, question{name: name, kind: kind})
	if err != nil {
		return result{rcode: dnsmessage.RCodeServerFailure}
	}
	return s.filter(p, q, name, found)
}

// isForwarded reports whether questions of a type are for resolvers. With an allow list
// only those are that programs need to reach something: what else an allowed domain can
// be asked for, such as TXT, is a way out. The types HTTPS and SVCB carry the keys with
// which clients encrypt the names that a policy wants to see.
func (s *Server) isForwarded(p *policy.Policy, kind dnsmessage.Type) bool {
	switch kind {
	case dnsmessage.TypeA, dnsmessage.TypeCNAME, dnsmessage.TypeMX, dnsmessage.TypeSRV:
		return true
	case dnsmessage.TypeAAAA:
		return s.options.IPv6()
	case typeSVCB, typeHTTPS:
		return !p.Restricts() && !p.DeniesNames() && !s.options.NoECH()
	}
	return !p.Restricts()
}

// isForNobody reports whether no resolver is asked for a name: one of a single label,
// which resolvers of the guest complete, and those of multicast DNS, unless it is known
// that the host's network uses them otherwise.
func (s *Server) isForNobody(p *policy.Policy, name string) bool {
	if !strings.Contains(name, ".") {
		return true
	}
	if !strings.HasSuffix(name, ".local") || p.Restricts() {
		return false
	}
	for _, domain := range s.options.Search() {
		if domain, err := policy.Canonical(domain); err == nil && strings.HasSuffix(name, "."+domain) {
			return false
		}
	}
	return true
}

// printable is what a name that is none is reported as.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.TrimSuffix(name, "."))
}

// isSearched reports whether a name is an allowed one, or a single label, with a search
// domain appended.
func (s *Server) isSearched(p *policy.Policy, name string) bool {
	for _, domain := range s.options.Search() {
		domain, err := policy.Canonical(domain)
		if err != nil {
			continue
		}
		rest, ok := strings.CutSuffix(name, "."+domain)
		if !ok {
			continue
		}
		if p.Decide(policy.Question{Kind: policy.Resolve, Name: rest}).Verdict == policy.Allow {
			return true
		}
		if _, isStatic := s.options.Static[rest]; isStatic {
			return true
		}
	}
	return false
}

// local answers with addresses that we know ourselves.
func (s *Server) local(q *query, name string, addrs []netip.Addr) result {
	var r result
	for _, addr := range addrs {
		if body := addressBody(q.question.Type, addr); body != nil {
			r.answers = append(r.answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.question.Name, Type: q.question.Type, Class: dnsmessage.ClassINET, TTL: localTTL},
				Body:   body,
			})
			s.names.add(addr, name, s.options.Now().Add(minRemembered))
		}
	}
	return r
}

// localTTL is short, as boxes come and go.
const localTTL = 5

// filter leaves out the addresses that the guest must not be told, and remembers others.
func (s *Server) filter(p *policy.Policy, q *query, name string, found result) result {
	now := s.options.Now()
	kept := found
	kept.answers = nil
	for _, r := range found.answers {
		if alias, ok := r.Body.(*dnsmessage.CNAMEResource); ok {
			if rule, denied := p.Denies(alias.CNAME.String()); denied {
				s.options.Denied(name, typeName(q.question.Type), rule)
				return result{rcode: dnsmessage.RCodeNameError}
			}
		}
		if addr, ok := bodyAddress(r.Body); ok {
			d := p.Decide(policy.Question{Kind: policy.Answer, Name: name, Addr: netip.AddrPortFrom(addr, 0)})
			if d.Verdict != policy.Allow {
				s.options.Denied(name, typeName(q.question.Type), d.Rule)
				continue
			}
			s.names.add(addr, name, now.Add(max(minRemembered, time.Duration(r.Header.TTL)*time.Second)))
		}
		if strings.EqualFold(r.Header.Name.String(), q.question.Name.String()) {
			r.Header.Name = q.question.Name // some resolvers compare upper and lower case
		}
		kept.answers = append(kept.answers, r)
	}
	return kept
}
