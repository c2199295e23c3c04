package policy

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// maxRule is the longest rule: a name in Unicode and many ports.
const maxRule = 2048

// formsHint shows what rules look like.
const formsHint = "a rule is such as example.com, *.example.com, example.com:443, 192.0.2.0/24 or [2001:db8::1]:443"

// parse reads one rule, as the package comment has it.
func parse(text string) (rule, error) {
	r := rule{text: text}
	s := strings.TrimSpace(text)
	switch {
	case s == "":
		return r, &mistake{"it is empty", formsHint}
	case len(s) > maxRule:
		return r, &mistake{"it is too long", formsHint}
	case strings.Contains(s, "://"):
		_, rest, _ := strings.Cut(s, "://")
		host, _, _ := strings.Cut(rest, "/")
		host = host[strings.LastIndexByte(host, '@')+1:]
		return r, &mistake{"it is a URL", "write just the host: " + host}
	}
	if host, last, ok := cutLast(s, '/'); ok {
		switch p := Protocol(strings.ToLower(last)); p {
		case TCP, UDP, ICMP:
			s, r.protocols = host, []Protocol{p}
		}
	}
	host, ports, err := splitPorts(s)
	if err != nil {
		return r, err
	}
	if ports != "" {
		if r.ports, err = parsePorts(ports); err != nil {
			return r, err
		}
	}
	if err := r.setHost(host); err != nil {
		return r, err
	}
	isICMP := slices.Contains(r.protocols, ICMP)
	switch {
	case isICMP && r.ports != nil:
		return r, &mistake{"ICMP has no ports", "leave the ports out, or write /tcp or /udp"}
	case isICMP && r.name != "":
		return r, &mistake{"ICMP is not allowed or denied by name", "name the addresses: 192.0.2.1/icmp"}
	}
	return r, nil
}

// splitPorts parts a rule without its protocol into host and ports.
func splitPorts(s string) (host, ports string, err error) {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		host, rest, ok := strings.Cut(inner, "]")
		if !ok {
			return "", "", &mistake{"a bracket is not closed", formsHint}
		}
		bits, ports, hasPorts := strings.Cut(rest, ":")
		switch {
		case hasPorts && ports == "":
			return "", "", &mistake{"the port is missing", "leave the colon out to mean all ports"}
		case bits != "" && (bits[0] != '/' || strings.Contains(host, "/")), !strings.Contains(host, ":"):
			return "", "", &mistake{"only an IPv6 address stands in brackets", formsHint}
		}
		return host + bits, ports, nil
	}
	address, _, _ := strings.Cut(s, "/")
	if _, err := netip.ParseAddr(address); err == nil && strings.Contains(address, ":") {
		if strings.Count(s[len(address):], ":") > 0 {
			return "", "", &mistake{"an IPv6 address with a port must stand in brackets", "write [2001:db8::/32]:443"}
		}
		return s, "", nil
	}
	host, ports, hasPorts := strings.Cut(s, ":")
	switch {
	case strings.Contains(ports, ":"):
		return "", "", &mistake{"it has more than one colon", "an IPv6 address with a port stands in brackets: [2001:db8::1]:443"}
	case hasPorts && ports == "":
		return "", "", &mistake{"the port is missing", "leave the colon out to mean all ports"}
	case host == "":
		return "", "", &mistake{"the host is missing", "to mean any address, write 0.0.0.0/0:" + ports + " and [::/0]:" + ports}
	}
	return host, ports, nil
}

func parsePorts(s string) ([]portRange, error) {
	var ranges []portRange
	for part := range strings.SplitSeq(s, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		first, err := parsePort(low)
		if err != nil {
			return nil, err
		}
		last := first
		if isRange {
			if last, err = parsePort(high); err != nil {
				return nil, err
			}
		}
		if last < first {
			return nil, &mistake{"a range of ports ends before it begins", "write the smaller port first: 8000-8999"}
		}
		ranges = append(ranges, portRange{first, last})
	}
	return ranges, nil
}

func parsePort(s string) (uint16, error) {
	s = strings.TrimSpace(s)
	if path, rest, ok := strings.Cut(s, "/"); ok {
		if _, err := strconv.ParseUint(path, 10, 16); err == nil {
			return 0, &mistake{"/" + rest + " is no protocol", "write /tcp, /udp or /icmp, or nothing"}
		}
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, &mistake{strconv.Quote(s) + " is no port", "ports are numbers from 1 to 65535: 443, 80,443 or 8000-8999"}
	}
	return uint16(n), nil
}

// setHost reads the part of the rule that names a host or addresses.
func (r *rule) setHost(host string) error {
	address, length, hasLength := strings.Cut(host, "/")
	if addr, err := netip.ParseAddr(address); err == nil {
		return r.setAddr(addr, length, hasLength)
	}
	switch {
	case hasLength && isDigits(length):
		return &mistake{"only addresses have a prefix length", "for the names below a domain, write *.example.com"}
	case hasLength:
		return &mistake{"a rule has no path, and " + strconv.Quote(length) + " is no protocol", "write just the host: " + address}
	case host == "*":
		return &mistake{"a name is missing after the *", "without allow rules everything is allowed; any address is 0.0.0.0/0 and ::/0"}
	case strings.HasPrefix(host, "."):
		return &mistake{"it begins with a dot", "for the names below a domain, write *" + host}
	}
	name := host
	if rest, ok := strings.CutPrefix(host, "*."); ok {
		name, r.below = rest, true
	}
	if strings.Contains(name, "*") {
		return &mistake{"a * stands for whole labels, and only at the beginning", "for the names below a domain, write *.example.com"}
	}
	canonical, err := Canonical(name)
	if err != nil {
		if labels := strings.Split(name, "."); isDigits(labels[len(labels)-1]) {
			return &mistake{"it is neither an address nor a name", "an IPv4 address has four numbers from 0 to 255: 192.0.2.1, or 192.0.2.0/24"}
		}
		return &mistake{err.Error(), formsHint}
	}
	if isOurs(canonical) {
		if canonical == "localhost" || canonical == protocol.HostAlias {
			return &mistake{"the host itself is not for rules", hostHint}
		}
		return &mistake{"names below localhost and " + ourDomain + " are not for rules", hostHint}
	}
	r.name = canonical
	return nil
}

func (r *rule) setAddr(addr netip.Addr, length string, hasLength bool) error {
	if addr.Zone() != "" {
		return &mistake{"an address in a rule has no zone", "leave out the % and what follows"}
	}
	bits := addr.BitLen()
	if hasLength {
		n, err := strconv.ParseUint(length, 10, 8)
		if err != nil || int(n) > bits || !isDigits(length) {
			return &mistake{strconv.Quote(length) + " is no prefix length", "it is 0 to 32 for IPv4, 0 to 128 for IPv6; or write /tcp, /udp or /icmp"}
		}
		bits = int(n)
	}
	if addr.Is4In6() && bits >= 96 {
		addr, bits = addr.Unmap(), bits-96
	}
	r.prefix = netip.PrefixFrom(addr, bits).Masked()
	return nil
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
