package dns

import (
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Sizes of messages (RFC 1035, 4.2.1; RFC 6891, 6.2.3).
const (
	headerSize  = 12
	minUDP      = 512
	maxUDP      = 4096
	maxTCP      = 65535
	maxQuery    = 4096
	upstreamUDP = 1232 // what passes everywhere without fragments
)

// Types that dnsmessage has no names for.
const (
	typeSVCB  dnsmessage.Type = 64
	typeHTTPS dnsmessage.Type = 65
)

// query is what the guest asks.
type query struct {
	header   dnsmessage.Header
	question dnsmessage.Question
	asked    bool // question is set
	edns     bool
	size     int // the largest answer over UDP
}

// result is what it is answered.
type result struct {
	rcode       dnsmessage.RCode
	answers     []dnsmessage.Resource
	authorities []dnsmessage.Resource // the SOA of a negative answer
}

// parseQuery returns nil for what is no query, and an error code for what can't be answered.
func parseQuery(b []byte) (*query, dnsmessage.RCode) {
	var p dnsmessage.Parser
	header, err := p.Start(b)
	if err != nil || header.Response {
		return nil, 0
	}
	q := &query{header: header, size: minUDP}
	if len(b) > maxQuery {
		return q, dnsmessage.RCodeFormatError
	}
	if header.OpCode != 0 {
		return q, dnsmessage.RCodeNotImplemented
	}
	questions, err := p.AllQuestions()
	if err != nil || len(questions) != 1 {
		return q, dnsmessage.RCodeFormatError
	}
	q.question, q.asked = questions[0], true
	if p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil || !q.readAdditionals(&p) {
		return q, dnsmessage.RCodeFormatError
	}
	switch {
	case q.question.Class != dnsmessage.ClassINET:
		return q, dnsmessage.RCodeRefused
	case isMeta(q.question.Type):
		return q, dnsmessage.RCodeNotImplemented
	}
	return q, dnsmessage.RCodeSuccess
}

// isMeta reports whether a type is of no record: transfers, ANY, OPT, and others
// (RFC 6895, 3.1).
func isMeta(t dnsmessage.Type) bool {
	return t == 0 || t == dnsmessage.TypeOPT || t >= 128 && t <= 255
}

// readAdditionals looks for EDNS. Its options, such as the client's subnet, are not kept.
func (q *query) readAdditionals(p *dnsmessage.Parser) bool {
	for {
		h, err := p.AdditionalHeader()
		if err == dnsmessage.ErrSectionDone {
			return true
		}
		if err != nil {
			return false
		}
		if h.Type == dnsmessage.TypeOPT {
			if q.edns {
				return false
			}
			q.edns = true
			q.size = min(max(int(h.Class), minUDP), maxUDP)
		}
		if p.SkipAdditional() != nil {
			return false
		}
	}
}

// reply packs a result. An answer that is too large is cut off, so that the guest asks
// again over TCP.
func (q *query) reply(r result, tcp bool) []byte {
	limit := maxTCP
	if !tcp {
		limit = q.size
	}
	cut := q.message(result{rcode: r.rcode})
	cut.Truncated = true
	if tcp {
		cut = q.message(result{rcode: dnsmessage.RCodeServerFailure})
	}
	short := r
	short.authorities = nil
	for _, m := range []dnsmessage.Message{q.message(r), q.message(short), cut} {
		if b, err := m.Pack(); err == nil && len(b) <= limit {
			return b
		}
	}
	return nil
}

func (q *query) message(r result) dnsmessage.Message {
	m := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: q.header.ID, Response: true, OpCode: q.header.OpCode, RecursionDesired: q.header.RecursionDesired,
			RecursionAvailable: true, RCode: r.rcode,
		},
		Answers: r.answers, Authorities: r.authorities,
	}
	if q.asked {
		m.Questions = []dnsmessage.Question{q.question}
	}
	if q.edns {
		m.Additionals = []dnsmessage.Resource{optRecord(maxUDP)}
	}
	return m
}

// optRecord is the record that says that we know EDNS.
func optRecord(size int) dnsmessage.Resource {
	var h dnsmessage.ResourceHeader
	// It fails only for response codes that don't fit.
	_ = h.SetEDNS0(size, dnsmessage.RCodeSuccess, false)
	return dnsmessage.Resource{Header: h, Body: &dnsmessage.OPTResource{}}
}

// addressBody returns the record of an address, or nil if it is not of the type.
func addressBody(kind dnsmessage.Type, addr netip.Addr) dnsmessage.ResourceBody {
	switch {
	case kind == dnsmessage.TypeA && addr.Is4():
		return &dnsmessage.AResource{A: addr.As4()}
	case kind == dnsmessage.TypeAAAA && addr.Is6():
		return &dnsmessage.AAAAResource{AAAA: addr.As16()}
	}
	return nil
}

// bodyAddress returns the address in a record that has one.
func bodyAddress(body dnsmessage.ResourceBody) (netip.Addr, bool) {
	switch b := body.(type) {
	case *dnsmessage.AResource:
		return netip.AddrFrom4(b.A), true
	case *dnsmessage.AAAAResource:
		return netip.AddrFrom16(b.AAAA), true
	}
	return netip.Addr{}, false
}

// typeName returns a type as it is usually written: AAAA, TYPE65.
func typeName(t dnsmessage.Type) string {
	name := t.GoString()
	if short, ok := strings.CutPrefix(name, "dnsmessage.Type"); ok {
		return short
	}
	return "TYPE" + name
}
