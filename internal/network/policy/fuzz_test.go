package policy_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite/internal/network/policy"
)

// special are addresses that only rules for nothing else than them allow.
var special = []netip.Prefix{
	netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("168.63.129.16/32"),
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("224.0.0.0/4"),
	netip.MustParsePrefix("192.168.127.0/24"), netip.MustParsePrefix("0.0.0.0/8"),
}

func FuzzDecide(f *testing.F) {
	f.Add("example.com\n0.0.0.0/0", "8.8.8.8", []byte{8, 8, 8, 9}, uint16(443), byte(0), "example.com", "example.com", false)
	f.Add("*.example.com\n::/0:80", "evil.example", []byte("\x00\x64\xff\x9b\x00\x00\x00\x00\x00\x00\x00\x00\xa9\xfe\xa9\xfe"), uint16(80), byte(1), "a.example.com", "A.EXAMPLE.com.", true)
	f.Add("", "bücher.example", []byte{169, 254, 169, 254}, uint16(80), byte(2), "", "bücher.example", false)
	f.Fuzz(func(t *testing.T, allow, deny string, ip []byte, port uint16, what byte, told, name string, host bool) {
		c := policy.Config{Allow: lines(allow), Deny: lines(deny), AllowHost: []uint16{8080}}
		p, err := policy.Compile(c)
		if err != nil {
			return
		}
		addr, ok := netip.AddrFromSlice(ip)
		if !ok {
			return
		}
		q := policy.Question{
			Kind: policy.Kind(what % 5), Protocol: []policy.Protocol{policy.TCP, policy.UDP, policy.ICMP, ""}[what/5%4],
			Addr: netip.AddrPortFrom(addr, port), Names: strings.Fields(told), Name: name, Host: host,
		}
		d := p.Decide(q)
		if again := p.Decide(q); again != d {
			t.Fatalf("%+v is answered with %+v, then %+v", q, d, again)
		}
		if d.Rule == "" {
			t.Fatalf("%+v is answered without a rule", q)
		}
		if d.Verdict == policy.Inspect && q.Kind != policy.Flow {
			t.Fatalf("%+v is answered with Inspect", q)
		}
		checkSpecial(t, c, q, d)
		checkDeny(t, c, q, d)

		// Another spelling is the same name.
		other := q
		other.Name = strings.ToUpper(name)
		if strings.ToLower(other.Name) == name && !strings.HasSuffix(name, ".") && name != "" && p.Decide(other) != d {
			t.Fatalf("%q is %+v, %q is %+v", name, d, other.Name, p.Decide(other))
		}
		other.Name = name + "."
		if _, err := policy.Canonical(name); err == nil && !strings.HasSuffix(name, ".") && isASCII(name) && p.Decide(other) != d {
			t.Fatalf("%q is %+v, %q is %+v", name, d, other.Name, p.Decide(other))
		}
		if addr.Is4() {
			other = q
			other.Addr = netip.AddrPortFrom(netip.AddrFrom16(addr.As16()), port)
			if p.Decide(other) != d {
				t.Fatalf("%v is %+v, %v is %+v", q.Addr, d, other.Addr, p.Decide(other))
			}
		}
	})
}

// checkSpecial wants special addresses to be allowed only by rules for just them.
func checkSpecial(t *testing.T, c policy.Config, q policy.Question, d policy.Decision) {
	if d.Verdict == policy.Deny || q.Kind == policy.Resolve || q.Host {
		return
	}
	for _, block := range special {
		if !block.Contains(q.Addr.Addr().Unmap()) {
			continue
		}
		isNamed := false
		for _, rule := range c.Allow {
			host, _, _ := strings.Cut(strings.Trim(rule, " []"), "/")
			host, _, _ = strings.Cut(host, "]")
			if i := strings.LastIndexByte(host, ':'); i > 0 && strings.Count(host, ":") == 1 {
				host = host[:i]
			}
			addr, err := netip.ParseAddr(host)
			isNamed = isNamed || err == nil && block.Contains(addr.Unmap())
		}
		if !isNamed {
			t.Fatalf("%+v is answered with %+v by %+v", q, d, c)
		}
	}
}

// checkDeny wants more allow rules to make no difference to what a deny rule refuses.
func checkDeny(t *testing.T, c policy.Config, q policy.Question, d policy.Decision) {
	for _, rule := range c.Deny {
		if d.Verdict != policy.Deny || d.Rule != rule {
			continue
		}
		more := c
		more.Allow = append([]string{"0.0.0.0/0", "::/0", "8.8.8.8", "example.com", "*.com"}, c.Allow...)
		p, err := policy.Compile(more)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Decide(q); got.Verdict != policy.Deny {
			t.Fatalf("%+v: %+v becomes %+v by allow rules", q, d, got)
		}
		return
	}
}

func FuzzCompile(f *testing.F) {
	for _, rule := range []string{"example.com:80,443-500/udp", "[2001:db8::/32]:443", "192.0.2.0/24/icmp", "*.bücher.example", "https://a@b/c", "::ffff:1.2.3.4/120"} {
		f.Add(rule)
	}
	f.Fuzz(func(t *testing.T, rule string) {
		for _, c := range []policy.Config{{Allow: []string{rule}}, {Deny: []string{rule}}} {
			p, err := policy.Compile(c)
			if err != nil {
				continue
			}
			if got := p.Config(); len(got.Allow)+len(got.Deny) != 1 {
				t.Fatalf("%q is given back as %+v", rule, got)
			}
			q := policy.Question{Protocol: policy.TCP, Addr: netip.MustParseAddrPort("169.254.1.1:80")}
			if d := p.Decide(q); d.Verdict != policy.Deny && !strings.Contains(rule, "169.254.") && !strings.Contains(strings.ToLower(rule), "a9fe") {
				t.Fatalf("%q allows metadata: %+v", rule, d)
			}
		}
	})
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}
