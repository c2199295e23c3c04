package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connectProxy answers CONNECT for itself: it says what it was asked.
func connectProxy(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect || strings.HasPrefix(r.Host, "refused") {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	user, password, _ := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth()
	fmt.Fprintf(rw, "HTTP/1.1 200 OK\r\n\r\n%s %s:%s\n", r.Host, user, password)
	rw.Flush()
}

func line(t *testing.T, conn net.Conn, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	text, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text)
}

func dialer(t *testing.T, proxyURL, no string, roots *x509.CertPool) *Dialer {
	t.Helper()
	proxies, err := NewProxies(t.Context(), proxyURL, proxyURL, no, &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	return &Dialer{Proxies: proxies}
}

var far = netip.MustParseAddrPort("192.0.2.1:443")

func TestConnectProxy(t *testing.T) {
	for _, secure := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(connectProxy))
		roots := x509.NewCertPool()
		if secure {
			server.StartTLS()
			roots.AddCert(server.Certificate())
		} else {
			server.Start()
		}
		defer server.Close()
		d := dialer(t, strings.Replace(server.URL, "://", "://me:pass@", 1), "", roots)

		conn, err := d.TCP(t.Context(), far, "example.com")
		if got := line(t, conn, err); got != "example.com:443 me:pass" {
			t.Errorf("asked for %q", got)
		}
		conn, err = d.TCP(t.Context(), netip.MustParseAddrPort("192.0.2.1:80"), "")
		if got := line(t, conn, err); got != "192.0.2.1:80 me:pass" {
			t.Errorf("asked for %q", got)
		}
		if _, err := d.TCP(t.Context(), far, "refused.example"); err == nil || strings.Contains(err.Error(), "pass") {
			t.Errorf("refused: %v", err)
		}
	}
}

func TestSOCKSProxy(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() { // RFC 1928, and RFC 1929 for the password
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		head := make([]byte, 2)
		io.ReadFull(r, head)
		io.CopyN(io.Discard, r, int64(head[1]))
		conn.Write([]byte{5, 2})
		io.CopyN(io.Discard, r, int64(len("\x01\x02me\x04pass")))
		conn.Write([]byte{1, 0})
		request := make([]byte, 5)
		io.ReadFull(r, request)
		name := make([]byte, int(request[4])+2)
		io.ReadFull(r, name)
		conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		fmt.Fprintf(conn, "%s\n", name[:len(name)-2])
	}()
	d := dialer(t, "socks5://me:pass@"+listener.Addr().String(), "", nil)
	conn, err := d.TCP(t.Context(), far, "example.com")
	if got := line(t, conn, err); got != "example.com" {
		t.Errorf("asked for %q", got)
	}
}

func TestNoProxy(t *testing.T) {
	d := dialer(t, "http://192.0.2.9:3128", "example.com,192.0.2.0/24", nil)
	var asked string
	d.Dial = func(_ context.Context, _, address string) (net.Conn, error) {
		asked = address
		return nil, errors.New("not now")
	}
	for _, c := range []struct{ addr, name, want string }{
		{"198.51.100.1:443", "example.com", "198.51.100.1:443"},
		{"198.51.100.1:443", "www.example.com", "198.51.100.1:443"},
		{"192.0.2.7:443", "example.net", "192.0.2.7:443"},
		{"127.0.0.1:443", "", "127.0.0.1:443"},
		{"198.51.100.1:443", "example.net", "192.0.2.9:3128"},
		{"198.51.100.1:22", "", "192.0.2.9:3128"},
	} {
		if _, err := d.TCP(t.Context(), netip.MustParseAddrPort(c.addr), c.name); err == nil || asked != c.want {
			t.Errorf("%s (%s): dialed %s, want %s", c.addr, c.name, asked, c.want)
		}
	}
}

func TestBadProxies(t *testing.T) {
	for _, text := range []string{"ftp://me:pass@example.com", "http://", "http://me:pass@ x"} {
		if _, err := NewProxies(t.Context(), text, "", "", nil); err == nil || strings.Contains(err.Error(), "pass") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestIsHost(t *testing.T) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs {
		prefix, err := netip.ParsePrefix(addr.String())
		if err == nil && !prefix.Addr().IsLinkLocalUnicast() && !IsHost(prefix.Addr()) {
			t.Errorf("%s is not the host's", prefix.Addr())
		}
	}
	if IsHost(netip.MustParseAddr("192.0.2.1")) {
		t.Error("192.0.2.1 is the host's")
	}
}
