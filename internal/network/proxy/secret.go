package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Bounds of a secret's parts, in bytes.
const (
	minValue       = 4
	maxValue       = 64 << 10
	minPlaceholder = 8
	maxPlaceholder = 256
	maxSecrets     = 1000
	maxHosts       = 100
)

// Secret is a value that the guest never has. What the guest has is the placeholder,
// which becomes the value on its way to the hosts, and to nowhere else.
//
// The value is in its JSON, and in no other text that is made of it.
type Secret struct {
	// Name is what the secret is called in messages.
	Name string `json:"name"`
	// Value is what hosts get.
	Value string `json:"value"`
	// Placeholder is what the guest has, and gets where a host repeats the value.
	Placeholder string `json:"placeholder"`
	// Hosts get the value: "api.example.com", or "*.example.com" for all names below,
	// by TLS at port 443 or the one that follows a colon; "http://api.example.com" gets
	// it in clear text, at port 80 or the one that follows.
	Hosts []string `json:"hosts"`
}

// Validate says what is wrong with the secret. Its error never has the value.
func (s Secret) Validate() error {
	if err := s.validate(); err != nil {
		e := &protocol.Error{Kind: protocol.KindInvalidArgument, Op: fmt.Sprintf("use secret %.64q", s.Name), Err: err}
		if m, ok := errors.AsType[*mistake](err); ok {
			e.Hint = m.hint
		}
		return e
	}
	return nil
}

func (s Secret) validate() error {
	switch n := len(s.Value); {
	case s.Name == "":
		return &mistake{"it has no name", "name it after what it is for, such as API_KEY"}
	case n == 0:
		return &mistake{"it has no value", "check the variable or file that the value is to come from"}
	case n < minValue:
		return &mistake{"its value is too short", fmt.Sprintf("a value has at least %d bytes: a shorter one would be found, and replaced, everywhere", minValue)}
	case n > maxValue:
		return &mistake{"its value is too long", fmt.Sprintf("a value has at most %d bytes", maxValue)}
	case strings.Contains(s.Value, "\x00"):
		return &mistake{"its value has a NUL byte", "encode binary values, in base64 for instance"}
	case len(s.Hosts) == 0:
		return &mistake{"it has no hosts", "name the hosts that may get the value: api.example.com"}
	case len(s.Hosts) > maxHosts:
		return &mistake{"it has too many hosts", "the names below a domain are *.example.com"}
	}
	if n := len(s.Placeholder); n < minPlaceholder || n > maxPlaceholder || strings.ContainsFunc(s.Placeholder, isUnfit) {
		return &mistake{"its placeholder is unfit", fmt.Sprintf("a placeholder has %d to %d printable ASCII characters without spaces, quotes and backslashes", minPlaceholder, maxPlaceholder)}
	}
	if strings.Contains(s.Placeholder, s.Value) || strings.Contains(s.Value, s.Placeholder) {
		return &mistake{"one of its value and placeholder has the other in it", "give it a placeholder that shares nothing with the value"}
	}
	for _, text := range s.Hosts {
		if _, err := parseHost(text); err != nil {
			return err
		}
	}
	return nil
}

// isUnfit reports whether a placeholder can't have a character: it would be written in
// other ways in headers or JSON.
func isUnfit(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\'' || c == '\\' }

// String returns the secret without its value.
func (s Secret) String() string {
	return fmt.Sprintf("secret %q for %s", s.Name, strings.Join(s.Hosts, ", "))
}

// GoString returns the secret without its value.
func (s Secret) GoString() string { return s.String() }

// Format writes the secret without its value, whatever the verb.
func (s Secret) Format(w fmt.State, _ rune) { _, _ = w.Write([]byte(s.String())) }

// LogValue returns the secret without its value.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Rules returns the rules that allow flows to the secret's hosts, for a policy that
// allows nothing else. Names of the box's own host need none: ports allow them.
func (s Secret) Rules() []string {
	var rules []string
	for _, text := range s.Hosts {
		if h, err := parseHost(text); err == nil && h.name != protocol.HostAlias {
			rules = append(rules, h.rule())
		}
	}
	return rules
}

// mistake is what is wrong with a secret, and what may have been meant.
type mistake struct{ text, hint string }

// Error returns what is wrong.
func (m *mistake) Error() string { return m.text }

// host is a compiled host of a secret.
type host struct {
	name  string // canonical
	below bool   // the names below name, not name itself
	port  uint16
	plain bool // by HTTP without TLS
}

// is reports whether a canonical name at a port is the host.
func (h host) is(name string, port uint16, plain bool) bool {
	if h.port != port || h.plain != plain {
		return false
	}
	if h.below {
		return len(name) > len(h.name)+1 && strings.HasSuffix(name, "."+h.name)
	}
	return name == h.name
}

// rule returns the policy's rule that allows the host.
func (h host) rule() string {
	name := h.name
	if h.below {
		name = "*." + name
	}
	return fmt.Sprintf("%s:%d", name, h.port)
}

const (
	httpPort  = 80
	httpsPort = 443

	hostHint = "a host of a secret is such as api.example.com, *.example.com or api.example.com:8443"
)

// parseHost reads a host as it is written in a secret.
func parseHost(text string) (host, error) {
	h := host{port: httpsPort}
	rest, isPlain := strings.CutPrefix(text, "http://")
	if isPlain {
		h.plain, h.port = true, httpPort
	}
	bad := func(why, hint string) (host, error) {
		return host{}, &mistake{fmt.Sprintf("host %.100q: %s", text, why), hint}
	}
	if _, after, ok := strings.Cut(rest, "://"); ok {
		name, _, _ := strings.Cut(after, "/")
		return bad("it is a URL", "write just the host: "+name[strings.LastIndexByte(name, '@')+1:])
	}
	if name, _, ok := strings.Cut(rest, "/"); ok {
		if isPlain {
			name = "http://" + name
		}
		return bad("it has a path", "write just the host: "+name)
	}
	name, port, hasPort := strings.Cut(rest, ":")
	if hasPort {
		n, ok := parsePort(port)
		if !ok {
			return bad("its port is no number from 1 to 65535", hostHint)
		}
		h.port = n
	}
	if below, ok := strings.CutPrefix(name, "*."); ok {
		name, h.below = below, true
	}
	if strings.Contains(name, "*") {
		return bad("a * stands for whole labels, and not for all names", "for the names below a domain, write *.example.com")
	}
	canonical, err := policy.Canonical(name)
	if err != nil {
		return bad(err.Error(), hostHint+"; addresses have no certificates to tell them by")
	}
	if h.below && !strings.Contains(canonical, ".") {
		return bad("it is for too many names", "name the domain: *.example."+canonical)
	}
	h.name = canonical
	if canonical == protocol.HostAlias && !h.below {
		return h, nil
	}
	if _, err := policy.Compile(policy.Config{Allow: []string{h.rule()}}); err != nil {
		return bad("no box reaches it", protocol.HintOf(err))
	}
	return h, nil
}
