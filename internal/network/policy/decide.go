package policy

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// What decides where no rule does.
const (
	notListed  = "(not on the allow list)"
	notDenied  = "(no allow list)"
	noName     = "(not a name)"
	noFlow     = "(not a flow)"
	itself     = "(the host itself)"
	unseen     = "(no name seen)"
	otherName  = "(another name than was looked up)"
	quic       = "(QUIC)"
	ownName    = "(a name of the host)"
	noQuestion = "(not a question)"
)

// Decide answers a question. It has no side effects, and depends on nothing else.
func (p *Policy) Decide(q Question) Decision {
	switch q.Kind {
	case Flow:
		d, _ := p.flow(q)
		return d
	case Seen:
		return p.seen(q)
	case Resolve:
		return p.resolve(q.Name)
	case Answer:
		return p.answer(q)
	}
	return Decision{Rule: noQuestion}
}

// flow decides whether a flow may begin. byAddress tells that it may do so for where it
// goes, whatever its name.
func (p *Policy) flow(q Question) (d Decision, byAddress bool) {
	addr, port := q.Addr.Addr(), q.Addr.Port()
	isICMP := q.Protocol == ICMP
	if !addr.IsValid() || isICMP != (port == 0) || !isICMP && q.Protocol != TCP && q.Protocol != UDP {
		return Decision{Rule: noFlow}, false
	}
	all := forms(addr)
	isFor := func(r *rule) bool { return r.isFor(q.Protocol, port) }
	names := canonicalNames(q.Names)
	if r := p.deny.find(func(r *rule) bool { return isFor(r) && r.hasAddr(all...) && !isAlias(all[0]) }); r != nil {
		return Decision{Rule: r.text}, false
	}
	// Another name at the same address may be meant, unless all are denied.
	var denied *rule
	names = slices.DeleteFunc(names, func(name string) bool {
		r := p.deny.find(func(r *rule) bool { return isFor(r) && r.hasName(name) })
		denied = cmp.Or(r, denied)
		return r != nil
	})
	if denied != nil && len(names) == 0 {
		return Decision{Rule: denied.text}, false
	}
	if q.Host {
		return p.host(q, all), true
	}
	special := worst(all)
	if special.class == never {
		return Decision{Rule: special.why}, false
	}
	allowed := Decision{Verdict: Allow, Rule: notDenied}
	if p.Restricts() {
		r := p.allow.covers(all, isFor)
		if r == nil {
			return p.byName(q, names, special), false
		}
		allowed.Rule = r.text
	} else if special.class == metadata {
		return Decision{Rule: special.why}, false
	}

	// Where names are denied, a flow must not hide its own.
	if r := p.deny.find(func(r *rule) bool { return isFor(r) && r.name != "" }); r != nil {
		if q.Protocol == UDP && port == 443 {
			return Decision{Rule: quic}, false
		}
		if !isICMP {
			allowed.Verdict = Inspect
		}
	}
	return allowed, true
}

// byName decides about a flow that only its names can allow.
func (p *Policy) byName(q Question, names []string, special block) Decision {
	r := p.allow.find(func(r *rule) bool {
		return r.isFor(q.Protocol, q.Addr.Port()) && slices.ContainsFunc(names, r.hasName)
	})
	switch {
	case special.class == metadata:
		return Decision{Rule: special.why}
	case r == nil:
		return Decision{Rule: notListed}
	case special.class != public:
		return Decision{Rule: special.why}
	case q.Protocol == UDP && q.Addr.Port() == 443:
		return Decision{Rule: quic}
	}
	return Decision{Verdict: Inspect, Rule: r.text}
}

// host decides about a flow to the host itself, which nothing denies.
func (p *Policy) host(q Question, all []netip.Addr) Decision {
	port := q.Addr.Port()
	for i, addr := range all {
		b := classify(addr)
		isHost := addr.IsLoopback() || isAlias(addr)
		if b.class == never && (!isHost || i > 0) {
			return Decision{Rule: b.why}
		}
	}
	if q.Protocol != ICMP && slices.Contains(p.config.AllowHost, port) && worst(all).class != metadata {
		return Decision{Verdict: Allow, Rule: "allow-host " + strconv.Itoa(int(port))}
	}
	exact := p.allow.find(func(r *rule) bool {
		return r.isFor(q.Protocol, port) && r.allowsAddr(all[0]) && r.prefix.IsSingleIP()
	})
	if exact != nil && p.allow.covers(all, func(r *rule) bool { return r.isFor(q.Protocol, port) }) != nil {
		return Decision{Verdict: Allow, Rule: exact.text}
	}
	return Decision{Rule: itself}
}

// seen decides about a flow with the name that was seen in it.
func (p *Policy) seen(q Question) Decision {
	d, byAddress := p.flow(q)
	if d.Verdict == Deny {
		return d
	}
	mustShow := d.Verdict == Inspect
	d.Verdict = Allow
	if addr, ok := literal(q.Name); ok {
		// The flow's own address as name tells no more than the flow does, and hides
		// nothing. That is enough only where the address is what allows the flow.
		isSame := addr == q.Addr.Addr().WithZone("").Unmap()
		switch {
		case byAddress && (isSame || !mustShow):
			return d
		case isSame:
			return Decision{Rule: unseen}
		}
		return Decision{Rule: otherName}
	}
	name, err := Canonical(q.Name)
	if err != nil {
		if !mustShow {
			return d
		}
		if q.Name == "" {
			return Decision{Rule: unseen}
		}
		return Decision{Rule: noName}
	}
	isFor := func(r *rule) bool { return r.isFor(q.Protocol, q.Addr.Port()) && r.hasName(name) }
	if r := p.deny.find(isFor); r != nil {
		return Decision{Rule: r.text}
	}
	if byAddress {
		return d
	}
	r := p.allow.find(isFor)
	if r == nil {
		return Decision{Rule: notListed}
	}
	if !slices.Contains(canonicalNames(q.Names), name) {
		return Decision{Rule: otherName}
	}
	return Decision{Verdict: Allow, Rule: r.text}
}

// resolve decides whether a name may be looked up. A rule that denies some ports of a
// name leaves others, so the name can still be looked up.
func (p *Policy) resolve(spelling string) Decision {
	name, err := Canonical(spelling)
	if err != nil {
		return Decision{Rule: noName}
	}
	if isOurs(name) {
		return Decision{Rule: ownName}
	}
	if r := p.deniesName(name); r != nil {
		return Decision{Rule: r.text}
	}
	if !p.Restricts() {
		return Decision{Verdict: Allow, Rule: notDenied}
	}
	if r := p.allow.find(func(r *rule) bool { return r.hasName(name) }); r != nil {
		return Decision{Verdict: Allow, Rule: r.text}
	}
	return Decision{Rule: notListed}
}

func (p *Policy) deniesName(name string) *rule {
	return p.deny.find(func(r *rule) bool { return r.isForAll() && r.hasName(name) })
}

// answer decides whether the guest may be told an address for a name that it may look up.
func (p *Policy) answer(q Question) Decision {
	d := p.resolve(q.Name)
	if d.Verdict == Deny {
		return d
	}
	if !q.Addr.Addr().IsValid() {
		return Decision{Rule: noFlow}
	}
	all := forms(q.Addr.Addr())
	special := worst(all)
	if special.class == never {
		return Decision{Rule: special.why}
	}
	if r := p.deny.find(func(r *rule) bool { return r.isForAll() && r.hasAddr(all...) }); r != nil {
		return Decision{Rule: r.text}
	}
	isPlain := special.class == public || special.class == private && !p.Restricts()
	if !isPlain && p.allow.covers(all, func(*rule) bool { return true }) == nil {
		return Decision{Rule: special.why}
	}
	return d
}

// canonicalNames leaves out what is no name.
func canonicalNames(spellings []string) []string {
	var names []string
	for _, s := range spellings {
		if name, err := Canonical(s); err == nil {
			names = append(names, name)
		}
	}
	return names
}

// isAlias reports whether an address is the one by which a box reaches the host. Rules
// for ranges that happen to have it do not mean the host.
func isAlias(addr netip.Addr) bool {
	return addr == protocol.HostAliasAddr4 || addr == protocol.HostAliasAddr6
}
