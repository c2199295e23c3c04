package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// maxName is the most that a domain name has in its written form (RFC 1035, 2.3.4).
const maxName = 253

var errNoName = errors.New("not a domain name")

// unicodeNames maps names that are not ASCII as browsers and resolvers do (UTS 46).
var unicodeNames = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false))

// Canonical returns the one spelling by which a domain name is compared: in lower case,
// without a trailing dot, internationalised labels in their ASCII form. It refuses what
// can't be the name of a host or service: addresses, too, in any spelling.
func Canonical(name string) (string, error) {
	if len(name) > 4*maxName {
		return "", fmt.Errorf("%w: too long", errNoName)
	}
	if !isASCII(name) {
		ascii, err := unicodeNames.ToASCII(name)
		if err != nil {
			return "", fmt.Errorf("%w: %w", errNoName, err)
		}
		name = ascii
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || len(name) > maxName {
		return "", fmt.Errorf("%w: its length is %d, not 1 to %d", errNoName, len(name), maxName)
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return "", fmt.Errorf("%w: a label's length is %d, not 1 to 63", errNoName, len(label))
		}
		for i := range len(label) {
			if c := label[i]; !isLetter(c) && !isDigit(c) && c != '-' && c != '_' {
				return "", fmt.Errorf("%w: it has the character %q", errNoName, c)
			}
		}
		last = label
	}
	if isNumber(last) {
		return "", fmt.Errorf("%w: it ends in a number", errNoName)
	}
	return name, nil
}

// isNumber reports whether some resolvers would take a name that ends in label for an
// IPv4 address: 127.1, 0x7f.0.0.1.
func isNumber(label string) bool {
	digits := isDigit
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		label, digits = hex, func(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' }
	}
	for i := range len(label) {
		if !digits(label[i]) {
			return false
		}
	}
	return true
}

// isOurs reports whether a name is one that no DNS server is asked for: the host's own
// names, and ours.
func isOurs(name string) bool {
	return isBelow(name, "localhost") || name == "localhost" || isBelow(name, ourDomain) || name == ourDomain
}

// ourDomain is the domain of our own names.
var ourDomain = protocol.HostAlias[strings.IndexByte(protocol.HostAlias, '.')+1:]

// isBelow reports whether name is a proper subdomain of domain, at any depth.
func isBelow(name, domain string) bool {
	rest, ok := strings.CutSuffix(name, domain)
	return ok && len(rest) > 1 && rest[len(rest)-1] == '.'
}

// literal returns the address that a name, as in a URL, is the spelling of.
func literal(name string) (netip.Addr, bool) {
	name = strings.TrimSuffix(name, ".")
	if inner, ok := strings.CutPrefix(name, "["); ok {
		name = strings.TrimSuffix(inner, "]")
	}
	addr, err := netip.ParseAddr(name)
	return addr.WithZone("").Unmap(), err == nil
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
