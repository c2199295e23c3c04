package sniff_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite/internal/network/sniff"
)

// hello is what crypto/tls says first.
func hello(t testing.TB, c *tls.Config) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	said := make(chan []byte)
	go func() {
		b := make([]byte, sniff.Max)
		n, _ := ours.Read(b)
		ours.Close()
		said <- b[:n]
	}()
	c.InsecureSkipVerify = true
	if err := tls.Client(theirs, c).HandshakeContext(context.Background()); err == nil {
		t.Fatal("a handshake with nobody succeeds")
	}
	return <-said
}

// records puts a ClientHello into records of a length.
func records(b []byte, length int) []byte {
	var out []byte
	for part := range slices.Chunk(b[5:], length) {
		out = append(out, 22, 3, 1, byte(len(part)>>8), byte(len(part)))
		out = append(out, part...)
	}
	return out
}

func TestClientHello(t *testing.T) {
	b := hello(t, &tls.Config{ServerName: "Example.com", NextProtos: []string{"h2", "http/1.1"}})
	want := sniff.Hello{SNI: "Example.com", ALPN: []string{"h2", "http/1.1"}}
	for _, length := range []int{1, 3, 100, 1 << 14} {
		stream := records(b, length)
		for n := range len(stream) {
			if _, complete, err := sniff.ClientHello(stream[:n]); complete || err != nil {
				t.Fatalf("%d of %d bytes in records of %d: complete %t, %v", n, len(stream), length, complete, err)
			}
		}
		got, complete, err := sniff.ClientHello(stream)
		if err != nil || !complete || got.SNI != want.SNI || !slices.Equal(got.ALPN, want.ALPN) || got.ECH {
			t.Errorf("records of %d: %+v, %t, %v", length, got, complete, err)
		}
	}
	if got, complete, err := sniff.ClientHello(hello(t, &tls.Config{})); err != nil || !complete || got.SNI != "" {
		t.Errorf("without a name: %+v, %t, %v", got, complete, err)
	}
}

// with returns a ClientHello with extensions, which are given as type, and content.
func with(extensions ...string) []byte {
	var all []byte
	for i := 0; i < len(extensions); i += 2 {
		all = append(all, extensions[i]...)
		all = append(all, byte(len(extensions[i+1])>>8), byte(len(extensions[i+1])))
		all = append(all, extensions[i+1]...)
	}
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0, 2, 0x13, 1, 1, 0, byte(len(all)>>8), byte(len(all)))
	body = append(body, all...)
	message := append([]byte{1, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	return append([]byte{22, 3, 1, byte(len(message) >> 8), byte(len(message))}, message...)
}

func TestClientHelloThatHidesSomething(t *testing.T) {
	const name = "\x00\x00"
	const a = "\x00\x0c\x00\x00\x09a.example"
	if got, _, err := sniff.ClientHello(with(name, a, "\xfe\x0d", "x")); err != nil || !got.ECH || got.SNI != "a.example" {
		t.Errorf("ECH: %+v, %v", got, err)
	}
	for about, b := range map[string][]byte{
		"two extensions with names": with(name, a, name, a),
		"two names":                 with(name, "\x00\x18\x00\x00\x09a.example\x00\x00\x09b.example"),
		"another type of name":      with(name, "\x00\x0c\x01\x00\x09a.example"),
		"an empty name":             with(name, "\x00\x03\x00\x00\x00"),
		"a name that is cut off":    with(name, "\x00\x0c\x00\x00\x0aa.example"),
		"something behind":          append(with(name, a)[:3], append([]byte{0, 200}, append(with(name, a)[5:], make([]byte, 200)...)...)...),
		"an empty record":           {22, 3, 1, 0, 0},
		"another message":           {22, 3, 1, 0, 4, 2, 0, 0, 0},
		"another record within":     append(records(with(name, a), 10)[:15], 23, 3, 1),
		"too long":                  {22, 3, 1, 0, 4, 1, 1, 0, 0},
		"not TLS":                   []byte("GET / HTTP/1.1\r\n"),
	} {
		if got, complete, err := sniff.ClientHello(b); err == nil {
			t.Errorf("%s: %+v, %t", about, got, complete)
		}
	}
}

func TestClassify(t *testing.T) {
	for _, test := range []struct {
		stream string
		want   sniff.Kind
		more   bool
	}{
		{"", sniff.Unknown, true},
		{"\x16", sniff.Unknown, true},
		{"\x16\x03\x01\x02\x00", sniff.Unknown, true},
		{"\x16\x03\x01\x02\x00\x01", sniff.TLS, false},
		{"\x16\x03\x01\x02\x00\x02", sniff.Unknown, false},
		{"\x16\x02", sniff.Unknown, false},
		{"G", sniff.Unknown, true},
		{"GET /", sniff.Unknown, true},
		{"GET / HTTP/1.1\r\n", sniff.HTTP, false},
		{"\r\n\nget / http/1.0\n", sniff.HTTP, false},
		{"CONNECT [::1]:443 HTTP/1.1\r\n", sniff.HTTP, false},
		{"PROPFIND http://a.example/ HTTP/1.1\r\n", sniff.HTTP, false},
		{"GET /" + strings.Repeat("a", sniff.Max), sniff.HTTP, false},
		{"PRI * HTTP/2.0\r\n\r\nS", sniff.Unknown, true},
		{"PRI * HTTP/2.0\r\n\r\nHost", sniff.HTTP, false},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", sniff.HTTP2, false},
		{"PRI *", sniff.Unknown, true},
		{"EHLO a.example\r\n", sniff.Unknown, false},
		{"SSH-2.0-OpenSSH_10.0", sniff.Unknown, true},
		{"SSH-2.0-OpenSSH_10.0\r\n", sniff.Unknown, false},
		{"\x00\x00\x00\x08", sniff.Unknown, false},
		{strings.Repeat("A", 40), sniff.Unknown, false},
	} {
		if got, more := sniff.Classify([]byte(test.stream)); got != test.want || more != test.more {
			t.Errorf("%.40q: %v, %t, want %v, %t", test.stream, got, more, test.want, test.more)
		}
	}
}

func TestHost(t *testing.T) {
	for _, test := range []struct {
		head string
		want string // "!" is an error, "?" incomplete
	}{
		{"GET / HTTP/1.1\r\nHost: Example.com:8080\r\n\r\n", "Example.com"},
		{"GET / HTTP/1.1\r\nhost:[2001:db8::1]:80\r\n\r\n", "2001:db8::1"},
		{"GET / HTTP/1.0\n\n", ""},
		{"GET / HTTP/1.1\r\nHost: a\r\n", "?"},
		{"GET / HT", "?"},
		{"GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example"},
		{"GET http://b.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n", "!"},
		{"GET http://a@b.example/x HTTP/1.1\r\nHost: b.example\r\n\r\n", "!"},
		{"CONNECT b.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", "!"},
		{"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "!"},
		{"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "!"},
		{"GET / HTTP/1.1\r\nX: y\r\n Host: b\r\nHost: a\r\n\r\n", "!"},
		{"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "!"},
		{"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "!"},
		{"GET / HTTP/1.1\r\nX: " + strings.Repeat("y", sniff.Max), "!"},
	} {
		host, complete, err := sniff.Host([]byte(test.head))
		got := host
		switch {
		case err != nil:
			got = "!"
		case !complete:
			got = "?"
		}
		if got != test.want {
			t.Errorf("%.60q: %q (%v), want %q", test.head, got, err, test.want)
		}
	}
}

func TestQUIC(t *testing.T) {
	initial := append([]byte{0xc3, 0, 0, 0, 1, 8}, make([]byte, 1194)...)
	for _, test := range []struct {
		about    string
		datagram []byte
		want     bool
	}{
		{"version 1", initial, true},
		{"a version to come", append([]byte{0x80, 0x7a, 0x7a, 0x7a, 0x7a, 0, 0}, 1), true},
		{"version negotiation", []byte{0x80, 0, 0, 0, 0, 0, 0, 1}, false},
		{"short header", []byte{0x40, 0, 0, 0, 1, 0, 0, 1}, false},
		{"an ID that does not fit", []byte{0xc0, 0, 0, 0, 1, 20, 0, 1}, false},
		{"nothing", nil, false},
	} {
		if got := sniff.QUIC(test.datagram); got != test.want {
			t.Errorf("%s: %t", test.about, got)
		}
	}
}

func FuzzClientHello(f *testing.F) {
	f.Add(hello(f, &tls.Config{ServerName: "example.com", NextProtos: []string{"h2"}}))
	f.Add(records(with("\x00\x00", "\x00\x0c\x00\x00\x09a.example", "\xfe\x0d", "x"), 7))
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, complete, err := sniff.ClientHello(b)
		if complete && err != nil || !complete && whole.SNI != "" || len(whole.SNI) > len(b) {
			t.Fatalf("%+v, %t, %v", whole, complete, err)
		}
		if err != nil || !complete {
			return
		}
		// More bytes change nothing, fewer never say something else.
		longer, complete, err := sniff.ClientHello(append(bytes.Clone(b), "more"...))
		if err == nil && complete && longer.SNI != whole.SNI {
			t.Fatalf("%q becomes %q", whole.SNI, longer.SNI)
		}
		if shorter, complete, _ := sniff.ClientHello(b[:len(b)/2]); complete && shorter.SNI != whole.SNI {
			t.Fatalf("%q was %q", whole.SNI, shorter.SNI)
		}
		if kind, _ := sniff.Classify(b); kind != sniff.TLS {
			t.Fatalf("a ClientHello is %v", kind)
		}
	})
}

func FuzzClassify(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"))
	f.Add([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	f.Add([]byte("\x16\x03\x01\x02\x00\x01"))
	f.Add([]byte("SSH-2.0-x\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 2*sniff.Max {
			return
		}
		decided := sniff.Unknown
		isDecided := false
		for n := range min(len(b), 256) {
			kind, more := sniff.Classify(b[:n])
			if more && kind != sniff.Unknown || more && isDecided || isDecided && kind != decided {
				t.Fatalf("after %d bytes: %v, %t; it was %v", n, kind, more, decided)
			}
			decided, isDecided = kind, !more
		}
		sniff.QUIC(b)
		if host, complete, err := sniff.Host(b); err != nil && (complete || host != "") {
			t.Fatalf("%q, %t, %v", host, complete, err)
		}
	})
}
