//go:build linux

package network

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite"
)

// allowed are the rules of the boxes that try to get out. The names that lead to
// special addresses are among them: rules for names don't allow these.
var allowed = []string{
	"allowed.example:80,443,8080,8443", "v4.allowed.example:80,443,8080,8443", "*.wild.example:80,443,8080,8443",
	"alias.example:80,443", "bücher.example:80,443", "rebind.example:80", "meta.example:80", "private.example:80",
	"cgnat.example:80", "loop.example:80", "zero.example:80", "own.example:80", "gateway.example:80", "mapped.example:80",
	"nat64.example:80", "sixtofour.example:80",
}

// permits reports whether the rules above allow a name.
func permits(name string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if name == "xn--bcher-kva.example" {
		name = "bücher.example"
	}
	return slices.ContainsFunc(allowed, func(rule string) bool {
		host, _, _ := strings.Cut(rule, ":")
		if suffix, ok := strings.CutPrefix(host, "*"); ok {
			return strings.HasSuffix(name, suffix)
		}
		return name == host
	})
}

// permitted are where packets of these boxes may arrive.
var permitted = func() []string {
	places := []string{"udp " + dnsIP + ":53", "tcp " + dnsIP + ":53"}
	for _, port := range []string{"80", "443", "8080", "8443"} {
		places = append(places, "tcp "+net.JoinHostPort(allowedIP, port), "tcp "+net.JoinHostPort(allowedIP6, port))
	}
	return places
}()

// hostileBox is a box with the client, behind the rules above.
func hostileBox(t *testing.T, rt *boxlite.Runtime, inspect bool) *boxlite.Box {
	t.Helper()
	box := newBox(t, rt, boxlite.BoxSpec{Network: boxlite.Network{
		Allow: allowed, InspectTLS: inspect, CACerts: []string{world.ca.pem},
	}})
	install(t, box, "hostile")
	world.reset(t)
	return box
}

// reset forgets all that has reached anybody.
func (w *internet) reset(t *testing.T) {
	w.tap.reset(t)
	w.log.reset()
	w.host.reset()
	w.dns.reset()
	w.public.reset()
}

// mustHold wants that nothing has reached anybody but what the rules allow.
func (w *internet) mustHold(t *testing.T, places []string) {
	t.Helper()
	if elsewhere := w.tap.except(t, places...); len(elsewhere) > 0 {
		t.Errorf("packets got to %q", elsewhere)
	}
	for _, r := range w.log.list() {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if !permits(host) || r.SNI != "" && !permits(r.SNI) {
			t.Errorf("a request got to %s", r)
		}
	}
	if got := w.host.list(); len(got) > 0 {
		t.Errorf("the host itself was reached: %+v", got)
	}
	for _, q := range w.dns.questions() {
		// Search domains are asked about as well, by the box's own choice.
		if !permits(q.name) || !slices.Contains([]string{"A", "AAAA", "MX", "SRV", "CNAME"}, q.kind) {
			t.Errorf("the name server was asked for %s", q)
		}
	}
	if got := w.public.questions(); len(got) > 0 {
		t.Errorf("another name server was asked for %v", got)
	}
}

// TestBypass has a hostile program try each way out, each kind in a box of its own: a
// box has a hundred denials a minute in the log.
func TestBypass(t *testing.T) {
	rt := openRuntime(t)
	nameServer := permitted[:2]
	for _, group := range []struct {
		name    string
		inspect bool
		places  []string
		denied  []string
		// sent are attempts that can't tell whether they got anywhere.
		sent bool
	}{
		{name: "flows", places: nil, denied: []string{
			"flow tcp 93.184.216.80:80", "flow tcp 93.184.216.80:443", "flow tcp [2606:2800::80]:80", "flow tcp 8.8.8.8:53", "flow tcp 8.8.8.8:853",
			"flow tcp 8.8.8.8:443", "flow udp 93.184.216.34:443", "flow udp 93.184.216.80:7", "flow icmp 93.184.216.80", "flow icmp 2606:2800::80",
			"flow tcp 10.9.0.9:80", "flow tcp 93.184.216.34:7",
		}},
		{name: "names", places: nameServer, denied: []string{
			"dns evil.example", "dns other.example", "dns sub.allowed.example", "dns 736f6d65206461746120746f206361727279206f7574.allowed.example",
			"flow udp 8.8.8.8:53", "flow tcp 8.8.8.8:53", "flow tcp 8.8.8.8:853",
		}},
		{name: "http", places: permitted, denied: []string{"http evil.example"}},
		{name: "http", inspect: true, places: permitted, denied: []string{"http evil.example"}},
		{name: "tls", places: permitted, denied: []string{"tls evil.example", "tls 93.184.216.34:443", "tls 93.184.216.34:8443"}},
		{name: "tls", inspect: true, places: permitted, denied: []string{"tls evil.example", "tls 93.184.216.34:443"}},
		{name: "inspected", inspect: true, places: permitted, denied: []string{"http evil.example"}},
		{name: "special", places: permitted, denied: []string{
			"169.254.169.254", "fd00:ec2::254", "64:ff9b::a9fe:a9fe", "10.9.0.9", "100.64.0.9", "dns rebind.example", "dns meta.example", "host 45.33.32.1:80",
		}},
		{name: "host", places: nameServer, denied: []string{"192.168.127.254:8099", "192.0.2.1:8099", "45.33.32.1:8099"}},
		{name: "gateway", places: nil},
		{name: "packets", places: permitted, sent: true, denied: []string{"frame"}},
	} {
		name := group.name
		if group.inspect {
			name += " with inspection"
		}
		t.Run(name, func(t *testing.T) {
			box := hostileBox(t, rt, group.inspect)
			for _, a := range try(t, box, group.name) {
				if a.Done && !(group.inspect && strings.HasPrefix(a.Name, "hello, ech")) { // it is ours then that answers
					t.Errorf("%s: got out: %s", a.Name, a.Detail)
				}
				if group.sent && strings.HasPrefix(a.Name, "packet") && !strings.HasSuffix(a.Detail, "sent") {
					t.Errorf("%s: was not tried: %s", a.Name, a.Detail)
				}
				t.Logf("%s: %s", a.Name, a.Detail)
			}
			world.mustHold(t, group.places)
			mustDeny(t, rt, box, group.denied...)
		})
	}
}

// TestPermitted has the same client do what the rules allow.
func TestPermitted(t *testing.T) {
	rt := openRuntime(t)
	for name, inspect := range map[string]bool{"passed on": false, "inspected": true} {
		t.Run(name, func(t *testing.T) {
			box := hostileBox(t, rt, inspect)
			for _, a := range try(t, box, "fine") {
				if !a.Done {
					t.Errorf("%s: %s", a.Name, a.Detail)
				}
			}
			world.mustHold(t, permitted)
			if denied := denials(t, rt, box); len(denied) > 0 {
				t.Errorf("denied: %q", denied)
			}
		})
	}
}

// TestDenialIsTold wants the denial of a request to name its rule, in the answer and in
// the events, and to be counted.
func TestDenialIsTold(t *testing.T) {
	rt := openRuntime(t)
	box := newBox(t, rt, boxlite.BoxSpec{Name: "told", Network: boxlite.Network{Allow: []string{"*.wild.example"}, Deny: []string{"bad.wild.example:80"}}})
	install(t, box, "hostile")
	got := try(t, box, "get", "http://good.wild.example/", "X: y")[0]
	if !got.Done {
		t.Errorf("%+v", got)
	}
	got = try(t, box, "get", "http://bad.wild.example/")[0]
	if got.Done {
		t.Errorf("a denied name was reached: %+v", got)
	}
	count := 0
	for e, err := range rt.Events(t.Context(), boxlite.EventOptions{Types: []boxlite.EventType{boxlite.EventDenied}}) {
		if err != nil {
			t.Fatal(err)
		}
		if d := e.Denial; e.Box != box.ID() || e.Name != "told" || d == nil || d.Rule == "" || d.Count < 1 || e.Time.IsZero() {
			t.Errorf("got %+v, %+v", e, e.Denial)
		} else if strings.HasPrefix(d.Rule, "bad.wild.example") {
			count += d.Count
		}
	}
	if count == 0 {
		mustDeny(t, rt, box, "bad.wild.example")
		t.Errorf("no denial names the rule: %q", denials(t, rt, box))
	}
	metrics, err := box.Metrics(t.Context())
	if err != nil || metrics.Network == nil || metrics.Network.Denied == 0 {
		t.Errorf("got %+v, %v", metrics.Network, err)
	}
}

// TestRuleRemoved wants connections to end that the rules no longer allow, and those
// to go on that they do.
func TestRuleRemoved(t *testing.T) {
	rt := openRuntime(t)
	box := newBox(t, rt, boxlite.BoxSpec{Network: boxlite.Network{Allow: []string{"v4.allowed.example", "*.wild.example"}}})
	install(t, box, "hostile")
	get := func(host string) string { return "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n" }
	gone := holdConnection(t, box, "v4.allowed.example:80", get("v4.allowed.example"))
	socket := holdConnection(t, box, "v4.allowed.example:80", strings.Replace(get("v4.allowed.example"), "/ HTTP/1.1", "/ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket", 1))
	stream := holdConnection(t, box, "v4.allowed.example:7", "data")
	kept := holdConnection(t, box, "a.wild.example:7", "data")
	if err := box.SetNetworkPolicy(t.Context(), boxlite.NetworkPolicy{Allow: []string{"*.wild.example"}}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*held{"request": gone, "WebSocket": socket, "stream": stream} {
		if got := c.line(t); !strings.Contains(got, "reset") {
			t.Errorf("%s: ended with %q", name, got)
		}
	}
	if got := try(t, box, "get", "http://v4.allowed.example/")[0]; got.Done {
		t.Errorf("still reached: %+v", got)
	}
	if got := try(t, box, "get", "http://b.wild.example/")[0]; !got.Done {
		t.Errorf("%+v", got)
	}
	kept.end(t)
	if got := kept.line(t); strings.Contains(got, "reset") {
		t.Errorf("an allowed connection was reset: %q", got)
	}

	// It holds for later starts.
	if err := box.Restart(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if got := try(t, box, "get", "http://v4.allowed.example/")[0]; got.Done {
		t.Errorf("reached after a restart: %+v", got)
	}
	if got := try(t, box, "get", "http://b.wild.example/")[0]; !got.Done {
		t.Errorf("%+v", got)
	}
}
