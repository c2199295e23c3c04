package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// The two are the same requests, to the server and through the proxy.

func BenchmarkDirect(b *testing.B) {
	w := newWorld(b, oneKiB, "example.com")
	benchmark(b, w.server.Client(), w.server.URL)
}

func BenchmarkProxy(b *testing.B) {
	w := newWorld(b, oneKiB, "example.com")
	benchmark(b, w.client(false), "https://example.com/")
}

func oneKiB(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = io.WriteString(w, strings.Repeat("x", 1<<10))
}

func benchmark(b *testing.B, client *http.Client, url string) {
	if t, ok := client.Transport.(*http.Transport); ok {
		t.ForceAttemptHTTP2 = false
		t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	}
	for b.Loop() {
		r := request(b, "POST", url, strings.NewReader(strings.Repeat("y", 1<<10)))
		r.Header.Set("Authorization", placeholder)
		res, err := client.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			b.Fatal(err)
		}
		res.Body.Close()
	}
}
