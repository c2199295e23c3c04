//go:build linux

package network

import (
	"slices"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite"
)

// TestAttemptsAreReal makes the attempts of [TestBypass] without rules: what nothing
// holds back must get out, or the other test would prove nothing.
func TestAttemptsAreReal(t *testing.T) {
	rt := openRuntime(t)
	box := newBox(t, rt, boxlite.BoxSpec{})
	install(t, box, "hostile")
	for group, wants := range map[string][]string{
		"flows": {
			"tcp 93.184.216.80:7", "tcp 93.184.216.80:80", "tcp [2606:2800::80]:80", "tcp 10.9.0.9:80", "udp 93.184.216.80:7", "udp [2606:2800::80]:7",
			"ping 93.184.216.80", "ping 2606:2800::80", "tls 93.184.216.80:443 as allowed.example", "dns over https",
		},
		"names": {
			"dns, evil.example, udp to 192.168.127.1:53", "dns, TXT of allowed.example, tcp to 192.168.127.1:53",
			"dns, allowed.example, udp to 8.8.8.8:53", "dns, allowed.example, tcp to 93.184.216.53:53",
		},
		"http": {
			"http, another host", "http, pipelined", "http, chunks and length", "http, bare line feeds", "reused",
			"in pieces on port 8080", "http, upgrade to h2c",
		},
		"tls": {
			"tls, another name, v4.allowed.example:443", "tls, no name, v4.allowed.example:8443", "hello, pieces, v4.allowed.example:443",
			"hello, records, v4.allowed.example:443", "hello, ech, v4.allowed.example:8443", "hello, no name, v4.allowed.example:443",
		},
		"inspected": {
			"inside, another host, v4.allowed.example:443", "inside, pipelined, v4.allowed.example:8443", "http/2, authority, v4.allowed.example:443",
			"http/2, coalesced, v4.allowed.example:443",
		},
	} {
		t.Run(group, func(t *testing.T) {
			all := try(t, box, group)
			for _, want := range wants {
				i := slices.IndexFunc(all, func(a attempt) bool { return a.Name == want })
				if i < 0 {
					t.Errorf("%s was not tried", want)
				} else if a := all[i]; !a.Done {
					t.Errorf("%s: %s", a.Name, a.Detail)
				}
			}
		})
	}
	t.Run("packets", func(t *testing.T) {
		world.reset(t)
		try(t, box, "packets")
		got := world.tap.list(t)
		for _, want := range []string{"udp " + evilIP + ":7", "tcp " + evilIP + ":80", "icmp " + evilIP} {
			if !slices.Contains(got, want) {
				t.Errorf("nothing got to %s, but to %q", want, got)
			}
		}
		// Without rules as with them, only the box's own packets of known protocols pass.
		for _, r := range world.log.list() {
			if r.Proto == "udp" && r.From != "" && !strings.HasPrefix(r.From, hostIP) && !strings.HasPrefix(r.From, "[2606:2800:1::1]") {
				t.Errorf("a datagram came from %s", r.From)
			}
		}
		for _, place := range got {
			if kind, _, _ := strings.Cut(place, " "); !slices.Contains([]string{"tcp", "udp", "icmp"}, kind) {
				t.Errorf("something got to %s", place)
			}
		}
	})
}
