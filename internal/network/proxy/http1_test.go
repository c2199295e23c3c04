package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite/internal/network/policy"
)

// newPlainWorld has a server, and a proxy in front of it, without TLS. Names are judged as
// a policy does it.
func newPlainWorld(t *testing.T, handler http.HandlerFunc, hosts ...string) *world {
	w := newWorld(t, handler, hosts...)
	plain := httptest.NewServer(handler)
	t.Cleanup(plain.Close)
	w.addr = plain.Listener.Addr().String()
	w.flow.Addr, w.flow.Name = netipPort(80), ""
	w.flow.Check = func(host string) policy.Decision {
		if name, err := policy.Canonical(host); err == nil && name == "example.com" {
			return policy.Decision{Verdict: policy.Allow}
		}
		return policy.Decision{Rule: "(not on the allow list)"}
	}
	return w
}

// send writes what a guest says to a new connection of plain HTTP.
func (w *world) send(text string) (net.Conn, *bufio.Reader) {
	w.t.Helper()
	conn, err := w.dial(w.t.Context(), false)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		w.t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// expectation is the head of a request whose body follows when the server wants it.
func expectation(length int) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: example.com\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", length)
}

// rest returns what else comes after the guest has said that nothing does from it.
func rest(t *testing.T, conn net.Conn, r io.Reader) string {
	t.Helper()
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

func readAnswer(t *testing.T, r *bufio.Reader) (status int, body string) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestBodiesWaitUntilTheyAreAskedFor(t *testing.T) {
	long := strings.Repeat("x", maxBuffered) + placeholder
	for name, c := range map[string]struct{ secretsFor, body, want string }{
		"as it is":          {"other.example", "hello", "hello"},
		"with a value":      {"http://example.com", placeholder, value},
		"long with a value": {"http://example.com", long, strings.Repeat("x", maxBuffered) + value},
	} {
		g := &got{}
		w := newPlainWorld(t, g.handler, c.secretsFor)
		conn, r := w.send(expectation(len(c.body)))
		if status, _ := readAnswer(t, r); status != 100 {
			t.Fatalf("%s: %d before the body", name, status)
		}
		if _, err := io.WriteString(conn, c.body); err != nil {
			t.Fatal(err)
		}
		if status, body := readAnswer(t, r); status != 200 || body != "ok" {
			t.Errorf("%s: %d %q after the body", name, status, body)
		}
		if g.body != c.want {
			t.Errorf("%s: the server got %.100q", name, g.body)
		}
	}
}

// What the guest has been told by the proxy, the server need not tell it again.
func TestBodiesAreAskedForOnce(t *testing.T) {
	w := newPlainWorld(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusContinue)
		w.Header().Set("Link", "</key>")
		w.WriteHeader(http.StatusEarlyHints)
	}, "http://example.com")
	conn, r := w.send(expectation(5) + "hello")
	for _, want := range []int{100, 103, 200} {
		if status, _ := readAnswer(t, r); status != want {
			t.Errorf("%d instead of %d", status, want)
		}
	}
	if rest := rest(t, conn, r); rest != "" {
		t.Errorf("then %q", rest)
	}
}

// A body that is short enough to be held is asked for by the proxy, so that is left out.
func TestBodiesThatServersRefuseAreNotAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		secretsFor string
		length     int
	}{
		"as it is":          {"other.example", 5},
		"long with a value": {"http://example.com", maxBuffered + 1},
	} {
		w := newPlainWorld(t, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "not "+value, http.StatusExpectationFailed)
		}, c.secretsFor)
		conn, r := w.send(expectation(c.length))
		status, body := readAnswer(t, r)
		if status != http.StatusExpectationFailed {
			t.Errorf("%s: %d %q", name, status, body)
		}
		if strings.Contains(body, value) != (c.secretsFor == "other.example") {
			t.Errorf("%s: %q", name, body)
		}
		if rest := rest(t, conn, r); rest != "" {
			t.Errorf("%s: then %q", name, rest)
		}
	}
}

// Nothing in the body is asked for if the proxy itself refuses the request.
func TestBodiesOfRefusedRequestsAreNotAskedFor(t *testing.T) {
	g := &got{}
	w := newPlainWorld(t, g.handler, "http://example.com")
	conn, r := w.send(strings.Replace(expectation(5), "example.com", "evil.example", 1))
	if status, body := readAnswer(t, r); status != 403 {
		t.Error(status, body)
	}
	if rest := rest(t, conn, r); rest != "" || g.request != nil {
		t.Errorf("then %q, and the server got %v", rest, g.request)
	}
}

// pipelined are three requests; the second is for a host.
func pipelined(host string) string {
	var b strings.Builder
	for i, host := range []string{"example.com", host, "example.com"} {
		body := fmt.Sprintf("%d %s", i, placeholder)
		fmt.Fprintf(&b, "POST /%d HTTP/1.1\r\nHost: %s\r\nX-Key: %s\r\nContent-Length: %d\r\n\r\n%s", i, host, placeholder, len(body), body)
	}
	return b.String()
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	w := newPlainWorld(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %t %t", r.URL.Path, string(body) == r.URL.Path[1:]+" "+value, r.Header.Get("X-Key") == value)
	}, "http://example.com")
	_, r := w.send(pipelined("EXAMPLE.com"))
	for i := range 3 {
		if status, body := readAnswer(t, r); status != 200 || body != fmt.Sprintf("/%d true true", i) {
			t.Errorf("request %d: %d %q", i, status, body)
		}
	}
}

// A refusal ends the connection: what follows it is not even looked at.
func TestRefusalEndsAPipeline(t *testing.T) {
	paths := make(chan string, 3)
	w := newPlainWorld(t, func(w http.ResponseWriter, r *http.Request) {
		paths <- r.Host + r.URL.Path
		_, _ = io.Copy(w, r.Body)
	}, "http://example.com")
	_, r := w.send(pipelined("evil.example"))
	if status, body := readAnswer(t, r); status != 200 || body != "0 "+placeholder {
		t.Errorf("first: %d %q", status, body)
	}
	if status, body := readAnswer(t, r); status != 403 || body != "boxlite: evil.example is not allowed: (not on the allow list)\n" {
		t.Errorf("second: %d %q", status, body)
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("then %q, %v", rest, err)
	}
	if path := <-paths; path != "example.com/0" || len(paths) > 0 {
		t.Errorf("the server got %s, and %d more", path, len(paths))
	}
}

func TestHostsOfPlainRequests(t *testing.T) {
	for name, c := range map[string]struct {
		head   string
		status int
		denied string
	}{
		"the usual port":                 {"GET / HTTP/1.1\r\nHost: example.com:80\r\n\r\n", 200, ""},
		"no number of a port":            {"GET / HTTP/1.1\r\nHost: example.com:\r\n\r\n", 200, ""},
		"upper case and a dot":           {"GET / HTTP/1.1\r\nHost: EXAMPLE.Com.\r\n\r\n", 200, ""},
		"all of that":                    {"GET / HTTP/1.1\r\nHost: EXAMPLE.COM.:80\r\n\r\n", 200, ""},
		"an absolute URI":                {"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", 200, ""},
		"an absolute URI over a Host":    {"GET http://example.com/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", 200, ""},
		"HTTP/1.0":                       {"GET / HTTP/1.0\r\nHost: example.com\r\n\r\n", 200, ""},
		"no Host":                        {"GET / HTTP/1.1\r\n\r\n", 400, ""},
		"an empty Host":                  {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, ""},
		"no Host in HTTP/1.0":            {"GET / HTTP/1.0\r\n\r\n", 400, ""},
		"two Hosts":                      {"GET / HTTP/1.1\r\nHost: example.com\r\nHost: evil.example\r\n\r\n", 400, ""},
		"one Host twice":                 {"GET / HTTP/1.1\r\nHost: example.com\r\nHost: example.com\r\n\r\n", 400, ""},
		"a Host after a space":           {"GET / HTTP/1.1\r\nHost : example.com\r\n\r\n", 400, ""},
		"a Host that is folded":          {"GET / HTTP/1.1\r\nHost: example.com\r\n evil.example\r\n\r\n", 400, ""},
		"two names in a Host":            {"GET / HTTP/1.1\r\nHost: example.com, evil.example\r\n\r\n", 400, ""},
		"a user in a Host":               {"GET / HTTP/1.1\r\nHost: example.com@evil.example\r\n\r\n", 400, ""},
		"a name below":                   {"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n", 403, "a.example.com (not on the allow list)"},
		"an address":                     {"GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n", 403, "192.0.2.1 (not on the allow list)"},
		"an address of version 6":        {"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", 403, "2001:db8::1 (not on the allow list)"},
		"another port":                   {"GET / HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 421, "example.com (another host than the connection is for)"},
		"another scheme":                 {"GET https://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", 421, "example.com (another host than the connection is for)"},
		"another host and an own Host":   {"GET http://evil.example/ HTTP/1.1\r\nHost: example.com\r\n\r\n", 403, "evil.example (not on the allow list)"},
		"CONNECT to the allowed host":    {"CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n", 403, "example.com (CONNECT)"},
		"a port that is none":            {"GET / HTTP/1.1\r\nHost: example.com:http\r\n\r\n", 400, ""},
		"a port that is too great":       {"GET / HTTP/1.1\r\nHost: example.com:65616\r\n\r\n", 400, ""},
		"a user in an absolute URI":      {"GET http://example.com@evil.example/ HTTP/1.1\r\nHost: example.com\r\n\r\n", 403, "evil.example (not on the allow list)"},
		"another host in X-Forwarded":    {"GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-Host: evil.example\r\n\r\n", 200, ""},
		"a Host that a Connection hides": {"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Host\r\n\r\n", 200, ""},
	} {
		g := &got{}
		w := newPlainWorld(t, g.handler)
		_, r := w.send(c.head)
		status, body := readAnswer(t, r)
		if status != c.status {
			t.Errorf("%s: %d %q", name, status, body)
		}
		if denied := strings.Join(w.denied, "; "); denied != c.denied {
			t.Errorf("%s: told of %q", name, denied)
		}
		if reached := g.request != nil; reached != (c.status == 200) {
			t.Errorf("%s: reached the server: %t", name, reached)
		} else if reached {
			host, _, _ := splitHost(g.request.Host)
			if name, err := policy.Canonical(host); err != nil || name != "example.com" {
				t.Errorf("%s: the server got %q", name, g.request.Host)
			}
		}
	}
}
