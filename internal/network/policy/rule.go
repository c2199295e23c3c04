package policy

import (
	"net/netip"
	"slices"
)

// rule is a compiled rule: for a name, or for addresses.
type rule struct {
	text string // as written

	name  string // canonical, or empty
	below bool   // the rule is for the names below name, not for itself

	prefix netip.Prefix // valid if name is empty

	ports     []portRange // nil means all
	protocols []Protocol  // nil means all
}

// portRange is first to last, inclusive.
type portRange struct{ first, last uint16 }

// isFor reports whether the rule is for flows of a protocol to a port.
func (r *rule) isFor(protocol Protocol, port uint16) bool {
	if r.protocols != nil && !slices.Contains(r.protocols, protocol) {
		return false
	}
	if r.ports == nil {
		return true
	}
	return protocol != ICMP && slices.ContainsFunc(r.ports, func(p portRange) bool { return p.first <= port && port <= p.last })
}

// isForAll reports whether the rule is for all protocols and ports.
func (r *rule) isForAll() bool { return r.ports == nil && r.protocols == nil }

// hasName reports whether the rule is for a canonical name.
func (r *rule) hasName(name string) bool {
	if r.name == "" {
		return false
	}
	if r.below {
		return isBelow(name, r.name)
	}
	return name == r.name
}

// hasAddr reports whether the rule is for one of the addresses.
func (r *rule) hasAddr(addrs ...netip.Addr) bool {
	return r.name == "" && slices.ContainsFunc(addrs, r.prefix.Contains)
}

// allowsAddr reports whether the rule, as one that allows, is for an address: a rule for
// half the Internet does not mean the metadata service in it.
func (r *rule) allowsAddr(addr netip.Addr) bool {
	if !r.hasAddr(addr) {
		return false
	}
	b := classify(addr)
	return b.class < metadata || b.class == metadata && r.prefix.Bits() >= b.prefix.Bits()
}

// rules are in the order in which they were written.
type rules []rule

// find returns the first rule for which is reports true, or nil.
func (rs rules) find(is func(r *rule) bool) *rule {
	if i := slices.IndexFunc(rs, func(r rule) bool { return is(&r) }); i >= 0 {
		return &rs[i]
	}
	return nil
}

// covers returns the rule for the first of the addresses, if there are rules for all.
func (rs rules) covers(addrs []netip.Addr, is func(r *rule) bool) *rule {
	var first *rule
	for _, addr := range addrs {
		r := rs.find(func(r *rule) bool { return is(r) && r.allowsAddr(addr) })
		if r == nil {
			return nil
		}
		if first == nil {
			first = r
		}
	}
	return first
}
