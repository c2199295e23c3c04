package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// text makes a frame of a WebSocket with a short text, masked with zeros if it is a client's.
func text(s string, isClients bool) []byte {
	length := byte(len(s))
	if isClients {
		return append([]byte{0x81, 0x80 | length, 0, 0, 0, 0}, s...)
	}
	return append([]byte{0x81, length}, s...)
}

func TestWebSocket(t *testing.T) {
	received := make(chan string, 1)
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if r.Header.Get("Sec-Websocket-Extensions") != "" || r.Header.Get("Upgrade") != "websocket" {
			t.Error(r.Header)
		}
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		head := make([]byte, 2)
		if _, err := io.ReadFull(buffered, head); err != nil {
			t.Error(err)
			return
		}
		rest := make([]byte, 4+int(head[1]&0x7f))
		if _, err := io.ReadFull(buffered, rest); err != nil {
			t.Error(err)
			return
		}
		for i := range rest[4:] {
			rest[4+i] ^= rest[i%4]
		}
		received <- string(rest[4:])
		_, _ = conn.Write(text("you sent "+value, false))
	}, "example.com")
	raw, err := w.dial(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, w.tlsConfig("http/1.1"))
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 101 {
		t.Fatal(res.Status)
	}
	if _, err := conn.Write(text("key "+placeholder, true)); err != nil {
		t.Fatal(err)
	}
	if got := <-received; got != "key "+value {
		t.Errorf("the server got %q", got)
	}
	all, err := io.ReadAll(r)
	if string(all) != string(text("you sent "+placeholder, false)) {
		t.Errorf("the guest got %q, %v", all, err)
	}
}

func TestHTTP2IsNotUpgradedTo(t *testing.T) {
	g := &got{}
	w := newWorld(t, g.handler, "example.com")
	r := request(t, "GET", "https://example.com/", nil)
	r.Header.Set("Connection", "Upgrade, HTTP2-Settings")
	r.Header.Set("Upgrade", "h2c")
	r.Header.Set("Http2-Settings", "AAMAAABkAAQAAP__")
	if res, body := w.do(false, r); res.StatusCode != 200 || body != "ok" {
		t.Error(res.Status, body)
	}
	if g.request.Header.Get("Upgrade") != "" || g.request.Header.Get("Http2-Settings") != "" {
		t.Error(g.request.Header)
	}
}

func TestTLSWithoutHTTP(t *testing.T) {
	w := newWorld(t, nil, "example.com")
	w.server.Config.ErrorLog = nil
	cert := w.server.TLS.Certificates
	echo, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: cert, NextProtos: []string{"echo"}})
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	w.addr = echo.Addr().String()
	for _, protocols := range [][]string{{"other", "echo"}, nil} {
		raw, err := w.dial(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		conn := tls.Client(raw, w.tlsConfig(protocols...))
		said := "\x00" + placeholder
		if _, err := io.WriteString(conn, said); err != nil {
			t.Fatal(err)
		}
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); err != nil || string(got) != said {
			t.Errorf("%q, %v", got, err)
		}
		if protocols != nil && conn.ConnectionState().NegotiatedProtocol != "echo" {
			t.Error("protocol", conn.ConnectionState().NegotiatedProtocol)
		}
	}
}

func TestPlainHTTPNeedsNames(t *testing.T) {
	for _, known := range []bool{true, false} {
		g := &got{}
		w := newWorld(t, g.handler, "http://example.com")
		plain := &http.Server{Handler: http.HandlerFunc(g.handler)}
		_ = plain
		if !known {
			w.flow.Names = nil
		}
		s := &session{proxy: w.proxy, flow: w.flow}
		s.flow.Addr = netipPort(80)
		if got := s.substitution("example.com") != nil; got != known {
			t.Errorf("known %t: substituted %t", known, got)
		}
	}
	if strings.Contains(placeholder, value) {
		t.Error("bad test")
	}
}
