//go:build linux

package network

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite"
)

// TestLimits has a box with few connections.
func TestLimits(t *testing.T) {
	rt := openRuntime(t)
	box := newBox(t, rt, boxlite.BoxSpec{Network: boxlite.Network{MaxConnections: 8, UpKbps: 80_000, DownKbps: 80_000}})
	install(t, box, "hostile")
	for range 2 { // room that was given back is there again
		got, err := strconv.Atoi(reach(t, box, true, "many", allowedIP+":7", "40"))
		if err != nil || got < 4 || got > 8 {
			t.Errorf("%d connections, %v", got, err)
		}
	}
}

// TestMetrics wants what passed to be counted by destination.
func TestMetrics(t *testing.T) {
	rt := openRuntime(t)
	box := newBox(t, rt, boxlite.BoxSpec{Network: boxlite.Network{Allow: []string{"allowed.example:80,443", evilIP + ":7/udp"}}})
	install(t, box, "hostile")
	reach(t, box, true, "get", "http://allowed.example/length", "-d", strings.Repeat("x", 100_000))
	reach(t, box, true, "get", "https://allowed.example/", "-k")
	reach(t, box, true, "echo", "udp", evilIP+":7", "data")
	reach(t, box, false, "get", "http://"+evilIP+"/")
	reach(t, box, false, "resolve", "evil.example")
	m, err := box.Metrics(t.Context())
	if err != nil || m.Network == nil {
		t.Fatal(m, err)
	}
	n := m.Network
	if n.SentBytes < 100_000 || n.ReceivedBytes == 0 || n.SentFrames == 0 || n.ReceivedFrames == 0 || n.Connections < 3 || n.Denied < 2 || n.DNSQueries == 0 {
		t.Errorf("got %+v", n)
	}
	for _, want := range []struct {
		name     string
		port     int
		protocol string
		is       func(boxlite.DestinationMetrics) bool
	}{
		{"allowed.example", 80, "tcp", func(d boxlite.DestinationMetrics) bool { return d.SentBytes >= 100_000 && d.Connections == 1 }},
		{"allowed.example", 443, "tcp", func(d boxlite.DestinationMetrics) bool { return d.SentBytes > 0 && d.ReceivedBytes > 0 }},
		{evilIP, 7, "udp", func(d boxlite.DestinationMetrics) bool { return d.SentBytes > 0 && d.ReceivedBytes > 0 }},
	} {
		if !slices.ContainsFunc(n.Destinations, func(d boxlite.DestinationMetrics) bool {
			return d.Name == want.name && d.Port == want.port && d.Protocol == want.protocol && want.is(d)
		}) {
			t.Errorf("%s:%d/%s is not as it should be in %+v", want.name, want.port, want.protocol, n.Destinations)
		}
	}
}

// TestCapture reads the file that has all frames.
func TestCapture(t *testing.T) {
	rt := openRuntime(t)
	path := filepath.Join(t.TempDir(), "frames.pcap")
	box := newBox(t, rt, boxlite.BoxSpec{
		Network: boxlite.Network{Capture: path, CACerts: []string{world.ca.pem}},
		Secrets: []boxlite.Secret{{Name: "API_KEY", Value: secretValue, Hosts: []string{"allowed.example"}}},
	})
	install(t, box, "hostile")
	reach(t, box, true, "get", "http://other.example/marked-for-capture")
	reach(t, box, true, "get", "https://allowed.example/", "X-Api-Key: "+placeholder)
	if err := box.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil || len(content) < 24 {
		t.Fatalf("%d bytes, %v", len(content), err)
	}
	magic := binary.LittleEndian.Uint32(content)
	if magic != 0xa1b2c3d4 && magic != 0xa1b23c4d || binary.LittleEndian.Uint32(content[20:]) != 1 {
		t.Fatalf("begins with %x", content[:24])
	}
	frames, rest := 0, content[24:]
	for len(rest) >= 16 {
		size := int(binary.LittleEndian.Uint32(rest[8:]))
		if size < 14 || len(rest) < 16+size {
			t.Fatalf("frame %d has %d bytes of %d", frames, size, len(rest)-16)
		}
		frames, rest = frames+1, rest[16+size:]
	}
	if frames < 20 || len(rest) > 0 || !strings.Contains(string(content), "marked-for-capture") || strings.Contains(string(content), secretValue) {
		t.Errorf("%d frames, %d bytes more", frames, len(rest))
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// connectProxy is an HTTP proxy that resolves every name to one server.
func connectProxy(t *testing.T, addr string) *requestLog {
	t.Helper()
	l, err := world.listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	log := &requestLog{}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveConnect(conn, log)
		}
	}()
	t.Cleanup(func() { l.Close() })
	return log
}

func serveConnect(conn net.Conn, log *requestLog) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	r, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	log.add(request{Proto: r.Method, Host: r.Host, Header: r.Header})
	_, port, _ := net.SplitHostPort(r.Host)
	out, err := world.dial("tcp", worldIP, net.JoinHostPort(allowedIP, port))
	if r.Method != http.MethodConnect || err != nil {
		fmt.Fprint(conn, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return
	}
	defer out.Close()
	fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(out, in)
		_ = out.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(conn, out)
}

// TestUpstreamProxy has the host behind a proxy, as in companies.
func TestUpstreamProxy(t *testing.T) {
	rt := openRuntime(t)
	log := connectProxy(t, "93.184.216.90:3128")
	t.Setenv("HTTPS_PROXY", "http://user:pass@93.184.216.90:3128")
	t.Setenv("HTTP_PROXY", "http://93.184.216.90:3128")
	t.Setenv("NO_PROXY", "a.wild.example")
	box := newBox(t, rt, boxlite.BoxSpec{
		Network: boxlite.Network{Allow: []string{"allowed.example", "*.wild.example"}, CACerts: []string{world.ca.pem}},
		Secrets: []boxlite.Secret{{Name: "API_KEY", Value: secretValue, Hosts: []string{"v4.allowed.example"}}},
	})
	install(t, box, "hostile")
	names := func() (hosts []string) {
		for _, r := range log.list() {
			hosts = append(hosts, r.Host)
		}
		return hosts
	}
	reach(t, box, true, "get", "https://allowed.example/")
	reach(t, box, true, "get", "http://b.wild.example/")
	reach(t, box, true, "get", "https://v4.allowed.example/", "X-Api-Key: "+placeholder)
	if got := names(); !slices.Equal(got, []string{"allowed.example:443", "b.wild.example:80", "v4.allowed.example:443"}) {
		t.Errorf("the proxy was asked for %q", got)
	} else if got := log.list()[0].Header.Get("Proxy-Authorization"); got == "" {
		t.Error("the proxy was not told who asks")
	}
	reach(t, box, true, "get", "https://a.wild.example/")
	reach(t, box, false, "get", "https://evil.example/")
	reach(t, box, false, "get", "http://"+evilIP+"/")
	if got := names(); len(got) != 3 {
		t.Errorf("the proxy was asked for %q", got)
	}
	// Programs in the box are told nothing of it.
	if got := run(t, box, "env"); strings.Contains(strings.ToLower(got), "_proxy=") {
		t.Errorf("environment: %s", got)
	}
}
