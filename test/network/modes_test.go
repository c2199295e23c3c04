//go:build linux

package network

import (
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite"
)

// reach wants that the client in the box gets what it asks for, or does not.
func reach(t *testing.T, box *boxlite.Box, want bool, args ...string) string {
	t.Helper()
	got := try(t, box, args...)[0]
	if got.Done != want {
		t.Errorf("%q: done %t: %s", args, got.Done, got.Detail)
	}
	return got.Detail
}

// TestOpen is a box without rules: it reaches all but the host and metadata services.
func TestOpen(t *testing.T) {
	rt := openRuntime(t)
	box := newBox(t, rt, boxlite.BoxSpec{})
	install(t, box, "hostile")
	world.reset(t)
	reach(t, box, true, "get", "http://other.example/")
	reach(t, box, true, "get", "https://other.example/", "-k")
	reach(t, box, true, "get", "http://"+privateIP+"/")
	reach(t, box, true, "get", "http://["+evilIP6+"]/")
	reach(t, box, true, "echo", "udp", evilIP+":7", "hello over UDP")
	reach(t, box, true, "echo", "udp", "["+evilIP6+"]:7", "hello over UDP")
	reach(t, box, true, "ping", evilIP)
	reach(t, box, true, "ping", evilIP6)
	reach(t, box, true, "ping", "192.168.127.1")
	if got := reach(t, box, true, "resolve", "evil.example"); got != allowedIP6+" "+allowedIP {
		t.Errorf("resolved to %q", got)
	}
	// A refused connection is refused in the box, not accepted first.
	if got := reach(t, box, false, "echo", "tcp", evilIP+":9", "x"); !strings.Contains(got, "refused") {
		t.Errorf("a closed port gives %q", got)
	}
	for _, addr := range []string{metadataIP + ":80", "[" + metadataIP6 + "]:80", "[64:ff9b::a9fe:a9fe]:80", hostIP + ":" + hostPort, hostPublic + ":" + hostPort, "192.168.127.254:" + hostPort} {
		reach(t, box, false, "echo", "tcp", addr, "GET / HTTP/1.0\r\n\r\n")
	}
	if got := world.host.list(); len(got) > 0 {
		t.Errorf("the host was reached: %v", got)
	}
	for _, place := range world.tap.list(t) {
		if strings.Contains(place, metadataIP) || strings.Contains(place, "a9fe:a9fe") || strings.Contains(place, metadataIP6) {
			t.Errorf("metadata was reached: %s", place)
		}
	}
	mustDeny(t, rt, box, metadataIP+":80", "host "+hostIP+":"+hostPort)
}

// TestNone is a box without a network: it has no card, and yet all that needs none.
func TestNone(t *testing.T) {
	rt := openRuntime(t)
	box := newBox(t, rt, boxlite.BoxSpec{Network: boxlite.Network{Mode: boxlite.NetworkNone}})
	install(t, box, "hostile")
	if got := run(t, box, "ls /sys/class/net"); strings.TrimSpace(got) != "lo" {
		t.Errorf("interfaces: %q", got)
	}
	world.reset(t)
	reach(t, box, false, "get", "http://"+allowedIP+"/")
	reach(t, box, false, "resolve", "allowed.example")
	if got := world.tap.list(t); len(got) > 0 {
		t.Errorf("packets got to %q", got)
	}
	serveInBox(t, box, "8000")
	conn, err := box.DialContext(t.Context(), "tcp", "localhost:8000")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, err := firstLine(conn); err != nil || !strings.HasPrefix(got, "hello from box") {
		t.Errorf("got %q, %v", got, err)
	}
	if err := box.SetNetworkPolicy(t.Context(), boxlite.NetworkPolicy{}); err == nil {
		t.Error("a box without a network got rules")
	}
	if _, err := box.Publish(t.Context(), boxlite.Port{GuestPort: 80}); err == nil {
		t.Error("a box without a network got a port")
	}
}

// TestSockets reaches into a box, and out of it, without its network.
func TestSockets(t *testing.T) {
	rt := openRuntime(t)
	box := newBox(t, rt, boxlite.BoxSpec{Network: boxlite.Network{Allow: []string{"192.0.2.77"}}})
	install(t, box, "hostile")
	l, err := box.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go echoStreams(l, func(net.Addr) {})
	defer l.Close()
	reach(t, box, true, "echo", "tcp", l.Addr().String(), "data")
	serveInBox(t, box, "8001")
	for _, network := range []string{"tcp", "udp"} {
		conn, err := box.DialContext(t.Context(), network, "localhost:8001")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "data")
		if got, err := firstLine(conn); err != nil || !strings.HasPrefix(got, "hello from box") {
			t.Errorf("%s: got %q, %v", network, got, err)
		}
		_ = conn.Close()
	}
}

// TestAddressRules has rules with addresses, ports and protocols.
func TestAddressRules(t *testing.T) {
	rt := openRuntime(t)
	box := newBox(t, rt, boxlite.BoxSpec{Network: boxlite.Network{
		Allow: []string{
			evilIP + ":80", "93.184.216.0/27:7/udp", "93.184.216.80:7/udp", allowedIP + "/icmp", "[" + evilIP6 + "]:8000-8100", metadataIP,
			"169.254.0.0/16", privateIP, "10.9.0.0/16",
		},
		Deny:      []string{"10.9.0.0/24:8080", privateIP + ":443"},
		AllowHost: []int{8099},
	}})
	install(t, box, "hostile")
	for args, want := range map[string]bool{
		"get http://" + evilIP + "/":               true,
		"get http://" + evilIP + ":8080/":          false,
		"get http://[" + evilIP6 + "]:8080/":       true,
		"get http://[" + evilIP6 + "]/":            false,
		"echo udp " + evilIP + ":7 data":           true,
		"echo tcp " + evilIP + ":7 data":           false,
		"echo udp " + allowedIP + ":7 data":        false,
		"ping " + allowedIP:                        true,
		"ping " + evilIP:                           false,
		"get http://" + metadataIP + "/":           true, // named alone
		"get http://" + privateIP + "/":            true,
		"resolve allowed.example":                  false,
		"echo tcp host.boxlite.internal:8099 data": true,
		"echo tcp 192.168.127.254:8099 data":       true,
		"echo tcp 127.0.0.1:8099 data":             false,
		"echo tcp 192.168.127.254:8098 data":       false,
	} {
		reach(t, box, want, strings.Fields(args)...)
	}
	mustDeny(t, rt, box, "93.184.216.80:8080", "dns allowed.example", "icmp 93.184.216.80", "192.168.127.254:8098")
}

// TestWideRules: rules for wide networks give neither metadata nor the host.
func TestWideRules(t *testing.T) {
	rt := openRuntime(t)
	box := newBox(t, rt, boxlite.BoxSpec{Network: boxlite.Network{Allow: []string{"0.0.0.0/0", "::/0", "169.0.0.0/8", "fd00::/8"}}})
	install(t, box, "hostile")
	reach(t, box, true, "get", "http://"+privateIP+"/")
	reach(t, box, true, "get", "http://["+evilIP6+"]/")
	for _, addr := range []string{metadataIP + ":80", "[" + metadataIP6 + "]:80", hostIP + ":" + hostPort, hostPublic + ":" + hostPort, "[2606:2800:1::1]:" + hostPort} {
		reach(t, box, false, "echo", "tcp", addr, "GET / HTTP/1.0\r\n\r\n")
	}
}

// TestNames is what a box is told of names.
func TestNames(t *testing.T) {
	rt := openRuntime(t)
	box := newBox(t, rt, boxlite.BoxSpec{Hostname: "inside"})
	install(t, box, "hostile")
	if got := reach(t, box, true, "resolve", "short"); got != allowedIP { // in the host's search domain
		t.Errorf("got %q", got)
	}
	if got := strings.Fields(reach(t, box, true, "resolve", "large.allowed.example")); len(got) != 100 { // over TCP
		t.Errorf("got %d addresses", len(got))
	}
	reach(t, box, false, "resolve", "nosuch.example")
	if got := run(t, box, "cat /etc/resolv.conf"); !strings.Contains(got, "192.168.127.1") || !strings.Contains(got, "corp.example") || strings.Contains(got, dnsIP) {
		t.Errorf("resolv.conf: %s", got)
	}
	if got := run(t, box, "cat /etc/hosts; hostname"); !strings.Contains(got, "192.168.127.2") || !strings.HasSuffix(got, "inside\n") {
		t.Errorf("hosts: %s", got)
	}
	// Answers are remembered only as long as they say, and equal questions are one.
	world.dns.reset()
	run(t, box, "hostile resolve large.allowed.example; hostile resolve large.allowed.example")
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if hosts, err := os.ReadFile("/etc/hosts"); err == nil && strings.Contains(string(hosts), name) && name != "localhost" {
		reach(t, box, false, "resolve", name) // the host's own file is not read
	}

	other := newBox(t, rt, boxlite.BoxSpec{Network: boxlite.Network{DNS: []string{publicDNS}, DNSSearch: []string{"wild.example"}}})
	install(t, other, "hostile")
	world.public.reset()
	if got := reach(t, other, true, "resolve", "anything"); got != evilIP {
		t.Errorf("got %q", got)
	}
	if !slices.Contains(world.public.questions(), question{"anything.wild.example", "A"}) {
		t.Errorf("the box's own name server was asked %v", world.public.questions())
	}
}

// TestNoIPv6: where the host has no IPv6, boxes are told no addresses of it.
func TestNoIPv6(t *testing.T) {
	needWorld(t)
	if err := ip("-6 route del default via 2606:2800:1::2", "-6 addr del 2606:2800:1::1/64 dev world0"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := ip("-6 addr add 2606:2800:1::1/64 dev world0 nodad", "-6 route add default via 2606:2800:1::2"); err != nil {
			t.Fatal(err)
		}
	}()
	rt := openRuntime(t)
	box := newBox(t, rt, boxlite.BoxSpec{})
	install(t, box, "hostile")
	if got := reach(t, box, true, "resolve", "allowed.example"); got != allowedIP {
		t.Errorf("got %q", got)
	}
	reach(t, box, true, "get", "http://allowed.example/")
}
