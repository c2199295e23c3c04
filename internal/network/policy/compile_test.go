package policy_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

func TestRulesThatAreUnderstood(t *testing.T) {
	for _, rule := range []string{
		"example.com", "EXAMPLE.com.", "*.example.com", "*.com", "bücher.example", "_dmarc.example.com", "r3---sn.example",
		"192.0.2.1", "192.0.2.0/24", "192.0.2.7/24", "2001:db8::1", "2001:db8::/32", "::ffff:192.0.2.0/120",
		"example.com:443", "example.com:80,443", "example.com:8000-8999,80", "[2001:db8::1]:443", "[2001:db8::/32]:443", "[2001:db8::]/32:443",
		"example.com:53/udp", "example.com/TCP", "192.0.2.1/icmp", "192.0.2.0/24/icmp", "192.0.2.0/24:80/tcp", "2001:db8::/32/udp", "0.0.0.0/0:443", "::/0",
		" example.com ",
	} {
		for _, c := range []policy.Config{{Allow: []string{rule}}, {Deny: []string{rule}}} {
			p, err := policy.Compile(c)
			if err != nil {
				t.Errorf("%q: %v (%s)", rule, err, protocol.HintOf(err))
			} else if got := p.Config(); !reflect.DeepEqual(got, c) {
				t.Errorf("%q is given back as %+v", rule, got)
			}
		}
	}
}

func TestMistakesHaveHints(t *testing.T) {
	for _, test := range []struct{ rule, hint string }{
		{"", "a rule is such as"},
		{"https://user@example.com/path", "write just the host: example.com"},
		{"example.com/path", "write just the host: example.com"},
		{"example.com/24", "*.example.com"},
		{"example.com:80/sctp", "/tcp, /udp or /icmp"},
		{"example.com:0", "1 to 65535"},
		{"example.com:65536", "1 to 65535"},
		{"example.com:https", "1 to 65535"},
		{"example.com:", "leave the colon out"},
		{"example.com:90-80", "smaller port first"},
		{":443", "0.0.0.0/0:443"},
		{"*", "without allow rules everything is allowed"},
		{"a.*.example.com", "*.example.com"},
		{"*example.com", "*.example.com"},
		{"*.*.example.com", "*.example.com"},
		{".example.com", "write *.example.com"},
		{"2001:db8::1:443:x", "[2001:db8::1]:443"},
		{"2001:db8::/32:443", "[2001:db8::/32]:443"},
		{"[2001:db8::1", "a rule is such as"},
		{"[example.com]:443", "a rule is such as"},
		{"fe80::1%eth0", "leave out the %"},
		{"192.0.2.0/33", "0 to 32"},
		{"192.0.2.256", "four numbers"},
		{"10.0.1", "four numbers"},
		{"example.com/icmp", "192.0.2.1/icmp"},
		{"192.0.2.1:1/icmp", "leave the ports out"},
		{"exa mple.com", "a rule is such as"},
		{"localhost", "--allow-host"},
		{"localhost:8080", "--allow-host"},
		{"Host.BoxLite.internal.:80", "--allow-host"},
		{"127.0.0.1:80", "--allow-host"},
		{"::1", "--allow-host"},
		{"224.0.0.1", "name the addresses"},
	} {
		_, err := policy.Compile(policy.Config{Allow: []string{test.rule}})
		if !errors.Is(err, protocol.KindInvalidArgument) {
			t.Errorf("%q: error %v", test.rule, err)
		} else if hint := protocol.HintOf(err); !strings.Contains(hint, test.hint) {
			t.Errorf("%q: %v: the hint %q lacks %q", test.rule, err, hint, test.hint)
		}
	}
	if _, err := policy.Compile(policy.Config{AllowHost: []uint16{0}}); !errors.Is(err, protocol.KindInvalidArgument) {
		t.Errorf("port 0 of the host: error %v", err)
	}
	if _, err := policy.Compile(policy.Config{Deny: make([]string, 10001)}); !errors.Is(err, protocol.KindInvalidArgument) {
		t.Errorf("too many rules: error %v", err)
	}
}

func TestCanonical(t *testing.T) {
	for name, want := range map[string]string{
		"Example.COM.": "example.com", "BÜCHER.example": "xn--bcher-kva.example", "faß.example": "xn--fa-hia.example",
		"ｅｘａｍｐｌｅ．ｃｏｍ": "example.com", "a_b.example": "a_b.example", "com": "com",
		"": "", ".": "", "a..b": "", "a b": "", "-": "-", "192.0.2.1": "", "0x7f.1": "", "127.1": "", "a.0x7f": "", "example.com:80": "",
		"example.com..": "", "*.example.com": "", "a\x00b.example": "", strings.Repeat("a", 64) + ".example": "", strings.Repeat("a.", 200) + "b": "",
	} {
		got, err := policy.Canonical(name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q becomes %q, %v, want %q", name, got, err, want)
		}
	}
}

func TestWhatAPolicyTellsOfItself(t *testing.T) {
	for _, test := range []struct {
		config                policy.Config
		restricts, deniesName bool
		denies                string // the rule for a.example.com
	}{
		{policy.Config{}, false, false, ""},
		{policy.Config{Allow: []string{"192.0.2.1"}, Deny: []string{"192.0.2.2"}}, true, false, ""},
		{policy.Config{Deny: []string{"*.example.com:80", "*.Example.com"}}, false, true, "*.Example.com"},
		{policy.Config{Deny: []string{"a.example.com:80"}}, false, true, ""},
	} {
		p := compile(t, test.config)
		rule, denies := p.Denies("A.example.com.")
		if p.Restricts() != test.restricts || p.DeniesNames() != test.deniesName || rule != test.denies || denies != (rule != "") {
			t.Errorf("%+v: restricts %t, denies names %t, %q", test.config, p.Restricts(), p.DeniesNames(), rule)
		}
	}
}
