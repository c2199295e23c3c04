package network

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/boxlite-go/boxlite/internal/network/policy"
)

// inspecting boots a guest that may reach some names, and whose TLS is looked into. The
// server's certificate is taken for good.
func inspecting(t *testing.T, w *world, server *x509.Certificate, allow ...string) *guest {
	t.Helper()
	t.Cleanup(w.wg.Wait)
	cfg := Config{Policy: policy.Config{Allow: allow}, Servers: []string{resolver(t)}, Dialer: w.dial, InspectTLS: true}
	if server != nil {
		cfg.CACerts = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Raw}))
	}
	g := boot(t, cfg)
	for _, name := range allow {
		if addrs, code := g.lookup(t, name); len(addrs) != 1 || code != 0 {
			t.Fatalf("%s: %v, %v", name, addrs, code)
		}
	}
	return g
}

// trusting are the settings of a guest's client for a name: it trusts the box's authority.
func (g *guest) trusting(name string) *tls.Config {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(g.inspector.CA())
	return &tls.Config{RootCAs: pool, ServerName: name}
}

func TestRequestsInTLSAreLookedIntoOnEveryPort(t *testing.T) {
	const name = "example.com" // what httptest's certificate is for
	var requests atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		fmt.Fprintf(w, "hello %s", r.Host)
	}))
	t.Cleanup(server.Close)
	// forward leads a connection to the server.
	forward := func(conn net.Conn) {
		far, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer far.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(far, conn)
			far.Close()
		}()
		_, _ = io.Copy(conn, far)
		conn.Close()
		<-done
	}
	for _, port := range []uint16{443, 8443} {
		t.Run(fmt.Sprint(port), func(t *testing.T) {
			g := inspecting(t, &world{tcp: map[string]func(net.Conn){far(port).String(): forward}}, server.Certificate(), name)
			for host, want := range map[string]int{
				name: 200, fmt.Sprint(name, ":", port): 200, forbidden: 421, name + ":22": 421,
			} {
				before := requests.Load()
				conn := tls.Client(g.mustDial(t, far(port)), g.trusting(name))
				fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(res.Body)
				if err != nil || res.StatusCode != want {
					t.Errorf("host %q: %s %q, %v", host, res.Status, body, err)
				}
				if want == 200 {
					if string(body) != "hello "+host {
						t.Errorf("host %q: got %q", host, body)
					}
					continue
				}
				if requests.Load() != before {
					t.Errorf("host %q: the server got the request", host)
				}
				asked, _, _ := strings.Cut(host, ":")
				if d := <-g.denied; d.Kind != "http" || d.Name != asked || d.Rule != "(another host than the connection is for)" {
					t.Errorf("host %q: told of %+v", host, d)
				}
			}
		})
	}
}

// The guest waits for the server, which it is connected to after it has said nothing for a
// while: this takes as long as that.
func TestTLSThatBeginsLateIsNotLookedInto(t *testing.T) {
	got := make(chan string, 1)
	serve := func(conn net.Conn) {
		io.WriteString(conn, "220 ready\n")
		b, _ := io.ReadAll(conn)
		got <- string(b)
	}
	g := inspecting(t, &world{tcp: map[string]func(net.Conn){far(25).String(): serve}}, nil, allowed)
	conn := g.mustDial(t, far(25))
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "220 ready\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	if err := tls.Client(conn, g.trusting(allowed)).Handshake(); err == nil {
		t.Error("there was a handshake")
	}
	if d := <-g.denied; d.Kind != "tls" || d.Rule != "(too late to look into it)" || d.Addr != far(25) {
		t.Errorf("told of %+v", d)
	}
	if got := <-got; got != "" {
		t.Errorf("the server got %q", got)
	}
}
