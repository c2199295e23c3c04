//go:build linux

package network

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// patience is how long anything may take that ends by itself.
const patience = 30 * time.Second

// hostPort is where the host itself listens, on all its addresses.
const hostPort = "8099"

// request is what reached a server.
type request struct {
	Server string // where it listens
	SNI    string
	Proto  string
	Host   string
	Path   string
	Header http.Header
	Body   string
	From   string
}

// String tells where the request wanted to go.
func (r request) String() string {
	return fmt.Sprintf("%s %s (sni %q) at %s", r.Host, r.Path, r.SNI, r.Server)
}

type requestLog struct {
	mu  sync.Mutex
	all []request
}

func (l *requestLog) add(r request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, r)
}

func (l *requestLog) list() []request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

func (l *requestLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = nil
}

// webHandler answers all requests, and notes them.
func (w *internet) webHandler(server string) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		body, _ := io.ReadAll(in.Body)
		r := request{
			Server: server, Proto: in.Proto, Host: in.Host, Path: in.URL.RequestURI(),
			Header: in.Header.Clone(), Body: string(body), From: in.RemoteAddr,
		}
		if in.TLS != nil {
			r.SNI = in.TLS.ServerName
		}
		w.log.add(r)
		if file, ok := w.files.Load(path.Clean(in.URL.Path)); ok {
			http.ServeContent(out, in, path.Base(in.URL.Path), time.Time{}, bytes.NewReader(file.([]byte)))
			return
		}
		if path.Dir(in.URL.Path) != "/" {
			http.NotFound(out, in)
			return
		}
		switch in.URL.Path {
		case "/ws":
			serveUpgrade(out, in)
		case "/socket":
			w.serveMessages(out, in, r)
		case "/echo":
			fmt.Fprintf(out, "path %s\n", in.URL.RequestURI())
			for name, values := range in.Header {
				fmt.Fprintf(out, "%s: %s\n", name, strings.Join(values, ", "))
			}
			_, _ = out.Write(body)
		case "/length":
			fmt.Fprintf(out, "%d\n", len(body))
		default:
			fmt.Fprintf(out, "hello from %s at %s by %s\n", in.Host, server, in.Proto)
		}
	})
}

// serveMessages notes each message of a WebSocket, and sends it back.
func (w *internet) serveMessages(out http.ResponseWriter, in *http.Request, r request) {
	conn, err := websocket.Accept(out, in, nil)
	if err != nil {
		return // it has answered that
	}
	defer conn.CloseNow()
	for {
		kind, message, err := conn.Read(in.Context())
		if err != nil {
			return
		}
		r.Body = string(message)
		w.log.add(r)
		if err := conn.Write(in.Context(), kind, message); err != nil {
			return
		}
	}
}

// serveUpgrade agrees to go on with WebSocket, and sends back each byte that comes.
func serveUpgrade(out http.ResponseWriter, in *http.Request) {
	if !strings.EqualFold(in.Header.Get("Upgrade"), "websocket") {
		http.Error(out, "not a WebSocket", http.StatusBadRequest)
		return
	}
	conn, buffered, err := http.NewResponseController(out).Hijack()
	if err != nil {
		http.Error(out, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	_, _ = io.Copy(conn, buffered)
}

// serveWeb serves plain HTTP.
func (w *internet) serveWeb(ip string, ports ...int) error {
	for _, port := range ports {
		addr := net.JoinHostPort(ip, fmt.Sprint(port))
		l, err := w.listen(addr)
		if err != nil {
			return err
		}
		go quiet(w.webHandler(addr)).Serve(l)
	}
	return nil
}

// serveTLS serves HTTP/1.1 and HTTP/2 over TLS, with a certificate for whatever name is
// asked for: its servers are a CDN.
func (w *internet) serveTLS(ip string, ports ...int) error {
	for _, port := range ports {
		addr := net.JoinHostPort(ip, fmt.Sprint(port))
		l, err := w.listen(addr)
		if err != nil {
			return err
		}
		server := quiet(w.webHandler(addr))
		server.TLSConfig = &tls.Config{GetCertificate: w.ca.certificate, NextProtos: []string{"h2", "http/1.1"}}
		go server.ServeTLS(l, "", "")
	}
	return nil
}

func quiet(handler http.Handler) *http.Server {
	return &http.Server{Handler: handler, ErrorLog: discard}
}

// serveEcho sends back what comes, over TCP and UDP.
func (w *internet) serveEcho(ip string, port int) error {
	addr := net.JoinHostPort(ip, fmt.Sprint(port))
	l, err1 := w.listen(addr)
	packets, err2 := w.listenPacket(addr)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	go echoStreams(l, func(from net.Addr) { w.log.add(request{Server: addr, Proto: "tcp", Host: "echo", From: from.String()}) })
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := packets.ReadFrom(buf)
			if err != nil {
				return
			}
			w.log.add(request{Server: addr, Proto: "udp", Host: "echo", From: from.String(), Body: string(buf[:n])})
			_, _ = packets.WriteTo(append([]byte("hello from echo: "), buf[:n]...), from)
		}
	}()
	return nil
}

// echoStreams greets each connection, and sends back what it gets.
func echoStreams(l net.Listener, note func(from net.Addr)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		note(conn.RemoteAddr())
		go func() {
			defer conn.Close()
			_, _ = io.WriteString(conn, "hello from echo\n")
			_, _ = io.Copy(conn, conn)
		}()
	}
}

// serveHost listens on the host, for what must not be reached there.
func (w *internet) serveHost() error {
	l, err := net.Listen("tcp", ":"+hostPort)
	if err != nil {
		return err
	}
	go echoStreams(l, func(from net.Addr) { w.host.add(request{Server: "host", From: from.String()}) })
	return nil
}

// authority makes certificates for any name.
type authority struct {
	pem  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey

	mu     sync.Mutex
	leaves map[string]*tls.Certificate
}

func newAuthority(name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificateFor(name)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	return &authority{pem: text.String(), cert: cert, key: key, leaves: make(map[string]*tls.Certificate)}, nil
}

func certificateFor(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// certificate implements tls.Config.GetCertificate.
func (a *authority) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	name := hello.ServerName
	if name == "" {
		name = "no.name.example"
	}
	if leaf, ok := a.leaves[name]; ok {
		return leaf, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificateFor(name)
	template.DNSNames, template.KeyUsage = []string{name}, x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	leaf := &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}
	a.leaves[name] = leaf
	return leaf, nil
}

// firstLine reads the first line that a connection gives.
func firstLine(conn net.Conn) (string, error) {
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}
