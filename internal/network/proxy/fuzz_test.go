package proxy

import (
	"bufio"
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/boxlite-go/boxlite/internal/network/policy"
)

func netipPort(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port)
}

// FuzzHTTPHead sends what it likes as requests. Only requests to the host that is allowed
// arrive.
func FuzzHTTPHead(f *testing.F) {
	f.Add("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
	f.Add("GET http://evil.example/ HTTP/1.1\r\nHost: example.com\r\n\r\n")
	f.Add("POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n")
	f.Add("GET /" + placeholder + "?%3C" + placeholder[1:] + " HTTP/1.1\r\nHost: example.com:80\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
	f.Fuzz(func(t *testing.T, head string) {
		var servers sync.WaitGroup
		p, err := New(Options{
			Secrets: []Secret{{Name: "key", Value: value, Placeholder: placeholder, Hosts: []string{"http://example.com"}}},
			Roots:   x509.NewCertPool(),
			Dial: func(context.Context, Flow, string) (net.Conn, error) {
				proxy, server := net.Pipe()
				servers.Go(func() {
					defer server.Close()
					r := bufio.NewReader(server)
					for {
						request, err := http.ReadRequest(r)
						if err != nil {
							return
						}
						host, _, _ := splitHost(request.Host)
						if name, err := policy.Canonical(host); err != nil || name != "example.com" {
							t.Errorf("a request for %q came from %q", request.Host, head)
						}
						_, _ = io.Copy(io.Discard, request.Body)
						_, _ = io.WriteString(server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
					}
				})
				return proxy, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		guest, conn := tcpPair(t)
		var wait sync.WaitGroup
		wait.Go(func() {
			p.ServeHTTP(context.Background(), conn, Flow{
				Addr: netipPort(80), Names: []string{"example.com"},
				Check: func(host string) policy.Decision {
					if name, err := policy.Canonical(host); err == nil && name == "example.com" {
						return policy.Decision{Verdict: policy.Allow}
					}
					return policy.Decision{Rule: "no"}
				},
				Denied: func(string, string) {},
			})
		})
		_, _ = io.WriteString(guest, head)
		_ = guest.(*net.TCPConn).CloseWrite()
		answer, _ := io.ReadAll(guest)
		if strings.Contains(string(answer), value) && !strings.Contains(head, value) {
			t.Errorf("the value is in the answer to %q", head)
		}
		guest.Close()
		wait.Wait()
		servers.Wait()
	})
}
