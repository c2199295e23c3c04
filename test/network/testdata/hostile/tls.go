package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"time"
)

// askTLS is ask inside TLS, opened with a name.
func askTLS(ctx context.Context, addr, name, send string, protocols ...string) (string, error) {
	conn, err := dialTLS(ctx, addr, &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: protocols})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return talk(ctx, conn, send)
}

func dialTLS(ctx context.Context, addr string, config *tls.Config) (*tls.Conn, error) {
	plain, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(plain, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		return nil, err
	}
	return conn, nil
}

// tlsTricks open TLS to an allowed server so that another name, or none, is seen. A
// handshake that ends well has reached the server.
func tlsTricks() []attempt {
	var list []attempt
	handshake := func(name, addr string, config *tls.Config) {
		config.InsecureSkipVerify = true
		list = append(list, attempt{"tls, " + name + ", " + addr, func(ctx context.Context) (string, error) {
			conn, err := dialTLS(ctx, addr, config)
			if err != nil {
				return "", err
			}
			defer conn.Close()
			return talk(ctx, conn, getFor(bad))
		}})
	}
	for _, port := range []string{"443", "8443"} {
		at := good + ":" + port
		handshake("another name", at, &tls.Config{ServerName: bad})
		handshake("another name, 1.2", at, &tls.Config{ServerName: bad, MaxVersion: tls.VersionTLS12})
		handshake("another name, upper case", at, &tls.Config{ServerName: "EVIL.Example"})
		handshake("no name", at, &tls.Config{})
		handshake("address as name", at, &tls.Config{ServerName: allowedIP}) // sent without one
		handshake("no name, http/2", at, &tls.Config{NextProtos: []string{"h2"}})
		handshake("another name, odd protocol", at, &tls.Config{ServerName: bad, NextProtos: []string{"acme-tls/1"}})
		for _, in := range []string{"pieces", "records", "two names", "ech", "no name", "sslv2", "nul", "dot", "unicode", "late"} {
			list = append(list, attempt{"hello, " + in + ", " + at, func(ctx context.Context) (string, error) {
				return sendHello(ctx, at, in)
			}})
		}
	}
	return list
}

// sendHello sends a ClientHello as bytes, and succeeds if a ServerHello comes.
func sendHello(ctx context.Context, addr, how string) (string, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	var pieces []string
	switch how {
	case "late": // when nobody may be waiting for it any more
		<-time.After(patience)
		pieces = []string{record(hello(bad))}
	case "pieces":
		for _, b := range []byte(record(hello(bad))) {
			pieces = append(pieces, string([]byte{b}))
		}
	case "records":
		text := hello(bad)
		for len(text) > 0 {
			n := min(len(text), 11)
			pieces, text = append(pieces, record(text[:n])), text[n:]
		}
	case "two names":
		pieces = []string{record(hello(good, bad))}
	case "ech":
		pieces = []string{record(helloWith(sni(good), extension(0xfe0d, "\x00\x00\x01\x00\x01\x07\x00\x20"+strings.Repeat("k", 32)+"\x00\x40"+strings.Repeat("e", 64))))}
	case "no name":
		pieces = []string{record(helloWith())}
	case "sslv2":
		pieces = []string{"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10\x01\x00\x80\x03\x00\x80\x07\x00\xc0\x00\x00\x2f\x00\x00\x35\x00\x00\x0a" + strings.Repeat("c", 16)}
	case "nul":
		pieces = []string{record(hello(good + "\x00." + bad))}
	case "dot":
		pieces = []string{record(hello(bad + "."))}
	case "unicode":
		pieces = []string{record(hello("\u0435vil.example"))}
	}
	for _, p := range pieces {
		if _, err := io.WriteString(conn, p); err != nil {
			return "", err
		}
	}
	head := make([]byte, 6)
	if _, err := io.ReadFull(conn, head); err != nil {
		return "", err
	}
	if head[0] == 22 && head[5] == 2 {
		return "hello from a TLS server", nil
	}
	return judge(string(head))
}

func record(text string) string { return "\x16\x03\x01" + short(len(text)) + text }

func short(n int) string { return string(binary.BigEndian.AppendUint16(nil, uint16(n))) }

func extension(kind int, text string) string { return short(kind) + short(len(text)) + text }

// sni is the extension that names servers.
func sni(names ...string) string {
	list := ""
	for _, name := range names {
		list += "\x00" + short(len(name)) + name
	}
	return extension(0, short(len(list))+list)
}

func hello(names ...string) string { return helloWith(sni(names...)) }

// helloWith is a ClientHello of TLS 1.2 that any server takes.
func helloWith(extensions ...string) string {
	suites := "\xc0\x2b\xc0\x2f\xc0\x2c\xc0\x30"
	all := strings.Join(extensions, "") +
		extension(10, "\x00\x04\x00\x1d\x00\x17") + extension(11, "\x01\x00") + extension(13, "\x00\x04\x04\x03\x08\x04")
	body := "\x03\x03" + strings.Repeat("r", 32) + "\x00" + short(len(suites)) + suites + "\x01\x00" + short(len(all)) + all
	return "\x01\x00" + short(len(body)) + body
}

// inspected are requests for another host inside TLS that was opened with a name that
// is allowed.
func inspected() []attempt {
	var list []attempt
	for _, port := range []string{"443", "8443"} {
		at := good + ":" + port
		for name, text := range map[string]string{
			"another host": getFor(bad), "absolute uri": "GET https://evil.example/ HTTP/1.1\r\nHost: " + good + "\r\n\r\n",
			"pipelined": "GET / HTTP/1.1\r\nHost: " + good + "\r\n\r\n" + getFor(bad),
			"connect":   "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
			"upgrade":   upgrade(good) + getFor(bad),
			"smuggled":  smuggle("Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
			// It is allowed, but not what the connection was opened for.
			"coalesced": getFor("other.wild.example"),
			"no host":   "GET / HTTP/1.0\r\n\r\n",
		} {
			list = append(list, attempt{"inside, " + name + ", " + at, func(ctx context.Context) (string, error) {
				text, err := askTLS(ctx, at, good, text)
				if strings.Contains(text, "hello from other.wild") || name == "no host" && err == nil {
					return text, nil
				}
				return reached(text, err)
			}})
		}
		list = append(list, attempt{"inside, late, " + at, func(context.Context) (string, error) {
			plain, err := net.Dial("tcp", at)
			if err != nil {
				return "", err
			}
			defer plain.Close()
			<-time.After(patience)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			conn := tls.Client(plain, &tls.Config{ServerName: good, InsecureSkipVerify: true})
			if err := conn.HandshakeContext(ctx); err != nil {
				return "", err
			}
			return reached(talk(ctx, conn, getFor(bad)))
		}})
		for name, hosts := range map[string][]string{
			"authority": {bad}, "coalesced": {good, bad}, "host beside": {good + "|" + bad}, "host alone": {"|" + bad},
			"upper case": {"EVIL.example"}, "final dot": {"evil.example."}, "user": {good + "@evil.example"}, "with port": {"evil.example:443"},
			"allowed, but another": {"other.wild.example"},
		} {
			list = append(list, attempt{"http/2, " + name + ", " + at, func(ctx context.Context) (string, error) {
				text, err := askTLS(ctx, at, good, http2Request(hosts...), "h2")
				if strings.Contains(text, "hello from other.wild") {
					return text, nil
				}
				return reached(text, err)
			}})
		}
	}
	return list
}
