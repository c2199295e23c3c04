package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
)

func TestValuesAreInRequests(t *testing.T) {
	for _, isHTTP2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP2=%t", isHTTP2), func(t *testing.T) {
			g := &got{}
			w := newWorld(t, g.handler, "example.com")
			long := strings.Repeat("x", maxBuffered) + placeholder
			for name, c := range map[string]struct{ body, kind, want string }{
				"small":  {"a" + placeholder + "b", "", "a" + value + "b"},
				"long":   {long, "", strings.Repeat("x", maxBuffered) + value},
				"JSON":   {`{"k":"\u003cBOXLITE_SECRET:key\u003e"}`, "application/json", `{"k":"s3cret/value+with\u0026odd=chars"}`},
				"a form": {"k=%3CBOXLITE_SECRET%3Akey%3E", "application/x-www-form-urlencoded", "k=s3cret%2Fvalue%2Bwith%26odd%3Dchars"},
			} {
				r := request(t, "POST", "https://example.com/p/"+placeholder+"/%3cBOXLITE_SECRET%3akey%3e?a=%3CBOXLITE_SECRET:key%3E&b=%20c", strings.NewReader(c.body))
				r.Header.Set("Authorization", "Bearer "+placeholder)
				r.Header.Set("X-Basic", "Basic "+base64.StdEncoding.EncodeToString([]byte("user:"+placeholder)))
				r.Header.Set("Content-Type", c.kind)
				r.Header.Set("Accept-Encoding", "gzip")
				if res, body := w.do(isHTTP2, r); res.StatusCode != 200 {
					t.Fatal(res.Status, body)
				}
				if g.body != c.want {
					t.Errorf("%s: body %.100q", name, g.body)
				}
				if name != "long" && g.request.ContentLength != int64(len(c.want)) {
					t.Errorf("%s: content length %d", name, g.request.ContentLength)
				}
				for header, want := range map[string]string{
					"Authorization": "Bearer " + value, "Accept-Encoding": "identity",
					"X-Basic": "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+value)),
				} {
					if got := g.request.Header.Get(header); got != want {
						t.Errorf("%s: %s: %q", name, header, got)
					}
				}
				if got := g.request.URL.Path; got != "/p/"+value+"/"+value {
					t.Errorf("%s: path %q", name, got)
				}
				if got := g.request.URL.Query().Get("a"); got != value || !strings.HasSuffix(g.request.URL.RawQuery, "&b=%20c") {
					t.Errorf("%s: query %q", name, g.request.URL.RawQuery)
				}
				if g.request.Host != "example.com" {
					t.Errorf("%s: host %q", name, g.request.Host)
				}
			}
		})
	}
}

func TestOtherHostsGetNoValue(t *testing.T) {
	for _, hosts := range [][]string{{"other.example"}, {"example.com:8443"}, {"http://example.com"}, {"*.example.com"}} {
		g := &got{}
		w := newWorld(t, g.handler, hosts...)
		r := request(t, "POST", "https://example.com/?"+placeholder, strings.NewReader(placeholder))
		r.Header.Set("Authorization", placeholder)
		w.do(false, r)
		if g.body != placeholder || g.request.Header.Get("Authorization") != placeholder {
			t.Errorf("%v: %q %v", hosts, g.body, g.request.Header)
		}
	}
}

func TestAnswersHaveNoValue(t *testing.T) {
	basic := base64.StdEncoding.EncodeToString([]byte("user:" + value))
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Value", "is "+value)
		w.Header().Set("Trailer", "X-End")
		body := "raw " + value + " base64 " + base64.StdEncoding.EncodeToString([]byte(value)) + " basic " + basic + " query s3cret%2Fvalue%2Bwith%26odd%3Dchars json s3cret/value+with\\u0026odd=chars."
		if r.URL.Path == "/exact" {
			w.Header().Del("Trailer")
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		io.WriteString(w, body[:20])
		w.(http.Flusher).Flush()
		io.WriteString(w, body[20:])
		w.Header().Set("X-End", value)
	}, "example.com")
	for _, isHTTP2 := range []bool{false, true} {
		for _, path := range []string{"/exact", "/stream"} {
			res, body := w.do(isHTTP2, request(t, "GET", "https://example.com"+path, nil))
			if strings.Count(body, placeholder) != 5 || strings.Contains(body, "s3cret") || strings.Contains(body, basic) {
				t.Errorf("%s: %s", path, body)
			}
			if !strings.HasSuffix(body, ".") {
				t.Errorf("%s: cut off: %s", path, body)
			}
			if res.Header.Get("X-Value") != "is "+placeholder {
				t.Errorf("%s: %v", path, res.Header)
			}
			if path == "/stream" && res.Trailer.Get("X-End") != placeholder {
				t.Errorf("trailer %v", res.Trailer)
			}
		}
	}
}

func TestRequestsForOtherHostsAreRefused(t *testing.T) {
	g := &got{}
	w := newWorld(t, g.handler, "example.com")
	for name, c := range map[string]struct {
		head   string
		isTLS  bool
		status string
	}{
		"another name in TLS":    {"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", true, "421"},
		"no name in TLS":         {"GET / HTTP/1.0\r\n\r\n", true, "400"},
		"an absolute URI in TLS": {"GET https://evil.example/ HTTP/1.1\r\nHost: example.com\r\n\r\n", true, "421"},
		"CONNECT in TLS":         {"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", true, "403"},
		"another port":           {"GET / HTTP/1.1\r\nHost: example.com:22\r\n\r\n", true, "421"},
		"another name":           {"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", false, "403"},
		"an absolute URI":        {"GET http://evil.example/ HTTP/1.1\r\nHost: example.com\r\n\r\n", false, "403"},
		"CONNECT":                {"CONNECT evil.example:443 HTTP/1.1\r\nHost: example.com\r\n\r\n", false, "403"},
		"TE and CL":              {"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", false, "501"},
		"two lengths":            {"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", true, "400"},
		"two hosts":              {"GET / HTTP/1.1\r\nHost: example.com\r\nHost: evil.example\r\n\r\n", true, "400"},
		"HTTP/2 in clear text":   {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false, "400"},
	} {
		conn, err := w.dial(t.Context(), c.isTLS)
		if err != nil {
			t.Fatal(err)
		}
		if c.isTLS {
			conn = tls.Client(conn, w.tlsConfig())
		}
		if _, err := io.WriteString(conn, c.head); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, rest, _ := strings.Cut(string(answer), " "); !strings.HasPrefix(rest, c.status) {
			t.Errorf("%s: %q", name, answer)
		}
		if (c.status == "403" || c.status == "421") && !strings.Contains(string(answer), "X-Boxlite-Denied: ") {
			t.Errorf("%s: %q", name, answer)
		}
	}
	if g.request != nil {
		t.Errorf("the server got a request for %s", g.request.Host)
	}
	if len(w.denied) != 7 {
		t.Errorf("told of %q", w.denied)
	}
}

func TestServersAreVerified(t *testing.T) {
	g := &got{}
	w := newWorld(t, g.handler, "example.com")
	w.proxy.roots = x509.NewCertPool()
	r := request(t, "GET", "https://example.com/", nil)
	r.Header.Set("Authorization", placeholder)
	res, body := w.do(false, r)
	if res.StatusCode != 502 || !strings.Contains(body, "no authority that is trusted") || g.request != nil {
		t.Error(res.Status, body)
	}
}

func TestManyRequestsAtOneTime(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %s %t", r.ProtoMajor, r.Header.Get("X-Number"), string(body) == value)
	}, "example.com")
	client := w.client(true)
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Go(func() {
			r := request(t, "POST", "https://example.com/", strings.NewReader(placeholder))
			r.Header.Set("X-Number", fmt.Sprint(i))
			res, err := client.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if body, err := io.ReadAll(res.Body); err != nil || string(body) != fmt.Sprintf("2 %d true", i) {
				t.Errorf("%q, %v", body, err)
			}
		})
	}
	wait.Wait()
}

func TestServerLearnsThatGuestIsGone(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	}, "example.com")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	r := request(t, "GET", "https://example.com/", nil).WithContext(ctx)
	client := w.client(false)
	go func() {
		res, err := client.Do(r)
		if err == nil {
			res.Body.Close()
		}
		done <- err
	}()
	<-began
	cancel()
	<-ended
	if err := <-done; err == nil {
		t.Error("the request was answered")
	}
}

func TestSecretsHideTheirValues(t *testing.T) {
	s := Secret{Name: "key", Value: value, Placeholder: placeholder, Hosts: []string{"https://example.com/x"}}
	type config struct{ Secrets []Secret }
	var b bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&b, nil))
	log.Info("made", "secret", s)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&b, format, s)
		fmt.Fprintf(&b, format, config{[]Secret{s}})
		fmt.Fprintf(&b, format, &s)
	}
	fmt.Fprint(&b, s.Validate())
	if strings.Contains(b.String(), "s3cret") || strings.Contains(b.String(), fmt.Sprintf("%x", value)) {
		t.Error(b.String())
	}
}

// TestUnreadableAnswersAreRefused: a value in them could not be found.
func TestUnreadableAnswersAreRefused(t *testing.T) {
	for _, encoding := range [][]string{{"br"}, {"zstd"}, {"gzip", "gzip"}, {"identity, deflate"}} {
		w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Encoding"] = encoding
			io.WriteString(w, value)
		}, "example.com")
		res, body := w.do(true, request(t, "GET", "https://example.com/", nil))
		if res.StatusCode != http.StatusBadGateway || !strings.Contains(body, "encoding") || strings.Contains(body, value) {
			t.Errorf("%q: %s %q", encoding, res.Status, body)
		}
	}
}
