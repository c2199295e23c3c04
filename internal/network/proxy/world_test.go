package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxlite-go/boxlite/internal/network/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	value       = "s3cret/value+with&odd=chars"
	placeholder = "<BOXLITE_SECRET:key>"
)

// world is a server, a proxy in front of it, and a guest's client.
type world struct {
	t      testing.TB
	server *httptest.Server
	proxy  *Proxy
	log    *syncBuffer

	mu     sync.Mutex
	addr   string // of the server
	denied []string
	flow   Flow
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// newWorld has a server with a certificate for example.com, which httptest makes.
func newWorld(t testing.TB, handler http.HandlerFunc, hosts ...string) *world {
	w := &world{t: t, log: &syncBuffer{}}
	w.server = httptest.NewUnstartedServer(handler)
	w.server.EnableHTTP2 = true
	w.server.StartTLS()
	t.Cleanup(w.server.Close)
	w.addr = w.server.Listener.Addr().String()
	roots := x509.NewCertPool()
	roots.AddCert(w.server.Certificate())
	var secrets []Secret
	if hosts != nil {
		secrets = []Secret{{Name: "key", Value: value, Placeholder: placeholder, Hosts: hosts}}
	}
	p, err := New(Options{
		Secrets: secrets, Roots: roots, Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Dial: func(ctx context.Context, _ Flow, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", w.addr)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.proxy = p
	w.flow = Flow{
		Addr: netip.MustParseAddrPort("192.0.2.1:443"), Name: "example.com", Names: []string{"example.com"},
		Check: func(host string) policy.Decision {
			if host == "example.com" {
				return policy.Decision{Verdict: policy.Allow}
			}
			return policy.Decision{Rule: "(not on the allow list)"}
		},
		Denied: func(host, rule string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.denied = append(w.denied, host+" "+rule)
		},
	}
	t.Cleanup(func() {
		if strings.Contains(w.log.String(), value) {
			t.Error("the value is in the log")
		}
	})
	return w
}

// dial connects to the proxy, which serves TLS or plain HTTP.
func (w *world) dial(ctx context.Context, isTLS bool) (net.Conn, error) {
	guest, proxy := tcpPair(w.t)
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(done)
		if isTLS {
			w.proxy.ServeTLS(ctx, proxy, w.flow)
		} else {
			w.proxy.ServeHTTP(ctx, proxy, w.flow)
		}
	}()
	w.t.Cleanup(func() {
		guest.Close()
		<-done
		cancel()
	})
	return guest, nil
}

func tcpPair(t testing.TB) (a, b net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func (w *world) tlsConfig(protocols ...string) *tls.Config {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(w.proxy.CA())
	return &tls.Config{RootCAs: pool, ServerName: "example.com", NextProtos: protocols}
}

// client is a guest's, for HTTP/1.1 or HTTP/2.
func (w *world) client(isHTTP2 bool) *http.Client {
	t := &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return w.dial(ctx, true) },
		TLSClientConfig: w.tlsConfig(), ForceAttemptHTTP2: isHTTP2, DisableCompression: true,
	}
	w.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t}
}

func (w *world) do(isHTTP2 bool, r *http.Request) (*http.Response, string) {
	w.t.Helper()
	res, err := w.client(isHTTP2).Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res, string(body)
}

func request(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// got is what a server got.
type got struct {
	mu      sync.Mutex
	request *http.Request
	body    string
}

func (g *got) handler(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	g.mu.Lock()
	g.request, g.body = r, string(body)
	g.mu.Unlock()
	fmt.Fprint(w, "ok")
}
