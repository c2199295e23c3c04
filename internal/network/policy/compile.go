package policy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// maxRules is how many rules a policy may have: each is looked at for each flow.
const maxRules = 10000

// Policy is a compiled [Config]. It never changes, and may be asked by many goroutines.
type Policy struct {
	config      Config
	allow, deny rules
}

// Compile makes a policy of what was written down. A rule that can't be is an error,
// with a hint at what was probably meant.
func Compile(c Config) (*Policy, error) {
	p := &Policy{config: clone(c)}
	if n := len(c.Allow) + len(c.Deny); n > maxRules {
		return nil, &protocol.Error{
			Kind: protocol.KindInvalidArgument, Op: "read network rules", Err: fmt.Errorf("%d rules, more than %d", n, maxRules),
			Hint: "rules such as *.example.com or 10.0.0.0/8 stand for many",
		}
	}
	for _, text := range c.Allow {
		r, err := parse(text)
		if err == nil {
			err = checkAllow(r)
		}
		if err != nil {
			return nil, describe("read allow rule", text, err)
		}
		if r.name != "" && r.protocols == nil {
			r.protocols = []Protocol{TCP}
		}
		p.allow = append(p.allow, r)
	}
	for _, text := range c.Deny {
		r, err := parse(text)
		if err != nil {
			return nil, describe("read deny rule", text, err)
		}
		p.deny = append(p.deny, r)
	}
	if slices.Contains(c.AllowHost, 0) {
		return nil, describe("read port of the host", "0", &mistake{"no port has the number 0", "ports are 1 to 65535"})
	}
	return p, nil
}

// Config returns what the policy was made from.
func (p *Policy) Config() Config { return clone(p.config) }

// Restricts reports whether there is an allow list: what is not on it is refused.
func (p *Policy) Restricts() bool { return len(p.allow) > 0 }

// DeniesNames reports whether flows must show their names, as some are denied.
func (p *Policy) DeniesNames() bool {
	return p.deny.find(func(r *rule) bool { return r.name != "" }) != nil
}

// Denies returns the rule that refuses to resolve a name, or to follow an alias to it. A
// rule for some ports does not.
func (p *Policy) Denies(name string) (rule string, ok bool) {
	name, err := Canonical(name)
	if err != nil {
		return "", false
	}
	if r := p.deniesName(name); r != nil {
		return r.text, true
	}
	return "", false
}

func clone(c Config) Config {
	return Config{Allow: slices.Clone(c.Allow), Deny: slices.Clone(c.Deny), AllowHost: slices.Clone(c.AllowHost)}
}

// checkAllow refuses rules that could never allow anything.
func checkAllow(r rule) error {
	if r.name != "" {
		return nil
	}
	switch b := classify(r.prefix.Addr()); {
	case b.class == never && b.why == "(loopback)" && r.prefix.Bits() >= b.prefix.Bits():
		return &mistake{"the host's loopback is not for rules", hostHint}
	case b.class == never && r.prefix.Bits() >= b.prefix.Bits():
		return &mistake{"no flow can go there " + b.why, "name the addresses of what is to be reached"}
	}
	return nil
}

// hostHint is for rules that mean the host.
const hostHint = "allow ports of the host with AllowHost, or --allow-host PORT; the box reaches them at " + protocol.HostAlias

// mistake is what is wrong with a rule, and what may have been meant.
type mistake struct{ text, hint string }

func (m *mistake) Error() string { return m.text }

// describe makes the error for a rule.
func describe(op, text string, err error) error {
	e := &protocol.Error{Kind: protocol.KindInvalidArgument, Op: fmt.Sprintf("%s %.100q", op, text), Err: err}
	if m, ok := errors.AsType[*mistake](err); ok {
		e.Hint = m.hint
	}
	return e
}
