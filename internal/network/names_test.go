package network

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"

	"github.com/boxlite-go/boxlite/internal/network/netstack"
	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

const (
	farAddr   = "93.184.215.14" // what our resolver says of every name
	allowed   = "www.example.com"
	forbidden = "www.example.org"
)

// resolver answers every question for A with farAddr. It returns its address.
func resolver(t *testing.T) string {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2000)
		for {
			n, from, err := socket.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.Additionals = true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 300},
					Body:   &dnsmessage.AResource{A: netip.MustParseAddr(farAddr).As4()},
				}}
			}
			answer, err := m.Pack()
			if err != nil {
				continue
			}
			socket.WriteTo(answer, from)
		}
	}()
	t.Cleanup(func() { socket.Close(); <-done })
	return socket.LocalAddr().String()
}

// lookup asks the gateway for a name's IPv4 addresses.
func (g *guest) lookup(t *testing.T, name string) ([]netip.Addr, dnsmessage.RCode) {
	t.Helper()
	to := netstack.Full(netip.AddrPortFrom(protocol.GatewayAddr4, 53))
	conn, err := gonet.DialUDP(g.stack, nil, &to, netstack.Protocol(protocol.GatewayAddr4))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	query := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name + "."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	packed, err := query.Pack()
	if err != nil {
		t.Fatal(err)
	}
	conn.Write(packed)
	buf := make([]byte, 2000)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	var m dnsmessage.Message
	if err := m.Unpack(buf[:n]); err != nil {
		t.Fatal(err)
	}
	var addrs []netip.Addr
	for _, answer := range m.Answers {
		if a, ok := answer.Body.(*dnsmessage.AResource); ok {
			addrs = append(addrs, netip.AddrFrom4(a.A))
		}
	}
	return addrs, m.RCode
}

func far(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(farAddr), port)
}

// namesOnly boots a guest that may reach one name.
func namesOnly(t *testing.T, w *world, allow ...string) *guest {
	t.Helper()
	t.Cleanup(w.wg.Wait)
	g := boot(t, Config{Policy: policy.Config{Allow: allow}, Servers: []string{resolver(t)}, Dialer: w.dial})
	if addrs, code := g.lookup(t, forbidden); code != dnsmessage.RCodeNameError {
		t.Fatalf("%s: %v, %v", forbidden, addrs, code)
	}
	if d := <-g.denied; d.Kind != "dns" || strings.TrimSuffix(d.Name, ".") != forbidden {
		t.Errorf("told of %+v", d)
	}
	return g
}

func serveTLS(t *testing.T) func(net.Conn) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return func(conn net.Conn) {
		server := tls.Server(conn, cfg)
		if server.Handshake() == nil {
			fmt.Fprintf(server, "hello %s\n", server.ConnectionState().ServerName)
		}
		server.Close()
	}
}

func TestNamesAreHeldAgainstSNI(t *testing.T) {
	serve := serveTLS(t)
	for _, port := range []uint16{443, 8443} {
		t.Run(fmt.Sprint(port), func(t *testing.T) {
			g := namesOnly(t, &world{tcp: map[string]func(net.Conn){far(port).String(): serve}}, allowed)
			// Before the name was looked up, its address is nothing that is allowed.
			if _, err := g.dial(t, far(port)); err == nil {
				t.Fatal("reached an address that no name was looked up for")
			}
			<-g.denied
			if addrs, code := g.lookup(t, allowed); len(addrs) != 1 || code != 0 {
				t.Fatalf("%s: %v, %v", allowed, addrs, code)
			}
			for name, want := range map[string]string{allowed: "hello " + allowed + "\n", forbidden: "", "": ""} {
				conn := g.mustDial(t, far(port))
				client := tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: true})
				got, _ := io.ReadAll(client)
				if string(got) != want {
					t.Errorf("SNI %q: got %q", name, got)
				}
				if want == "" {
					if d := <-g.denied; d.Kind != "tls" {
						t.Errorf("SNI %q: told of %+v", name, d)
					}
				}
			}
		})
	}
}

func TestNamesAreHeldAgainstHost(t *testing.T) {
	serve := func(conn net.Conn) {
		request, err := http.ReadRequest(bufio.NewReader(conn))
		if err == nil {
			fmt.Fprintf(conn, "HTTP/1.0 200 OK\r\n\r\nhello %s", request.Host)
		}
	}
	for _, port := range []uint16{80, 8080} {
		g := namesOnly(t, &world{tcp: map[string]func(net.Conn){far(port).String(): serve}}, allowed)
		g.lookup(t, allowed)
		for host, want := range map[string]bool{allowed: true, forbidden: false} {
			conn := g.mustDial(t, far(port))
			fmt.Fprintf(conn, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", host)
			got, _ := io.ReadAll(conn)
			if strings.HasSuffix(string(got), "hello "+host) != want {
				t.Errorf("port %d, host %q: got %q", port, host, got)
			}
		}
	}
}

func TestServersMaySpeakFirst(t *testing.T) {
	serve := func(conn net.Conn) {
		io.WriteString(conn, "220 ready\n")
		line, _ := bufio.NewReader(conn).ReadString('\n')
		io.WriteString(conn, "you said "+line)
	}
	g := namesOnly(t, &world{tcp: map[string]func(net.Conn){far(25).String(): serve}}, allowed)
	g.lookup(t, allowed)
	conn := g.mustDial(t, far(25))
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); line != "220 ready\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	io.WriteString(conn, "EHLO me\n")
	if line, err := r.ReadString('\n'); line != "you said EHLO me\n" {
		t.Fatalf("got %q, %v", line, err)
	}
}

func TestWhatIsNeitherTLSNorHTTPIsRefusedWhereItMustBe(t *testing.T) {
	g := namesOnly(t, &world{tcp: map[string]func(net.Conn){far(443).String(): echoServer}}, allowed)
	g.lookup(t, allowed)
	conn := g.mustDial(t, far(443))
	io.WriteString(conn, "\x00\x01 something of its own\r\n\r\n")
	if n, err := conn.Read(make([]byte, 100)); err == nil {
		t.Fatalf("got %d bytes", n)
	}
}

func TestOwnNames(t *testing.T) {
	g := namesOnly(t, &world{}, allowed)
	for name, want := range map[string]netip.Addr{protocol.HostAlias: protocol.HostAliasAddr4, protocol.GatewayName: protocol.GatewayAddr4} {
		if addrs, _ := g.lookup(t, name); len(addrs) != 1 || addrs[0] != want {
			t.Errorf("%s is %v", name, addrs)
		}
	}
}

func TestAddressesNeedNoInspection(t *testing.T) {
	w := &world{tcp: map[string]func(net.Conn){far(443).String(): echoServer}}
	t.Cleanup(w.wg.Wait)
	g := boot(t, Config{Policy: policy.Config{Allow: []string{farAddr + ":443"}}, Dialer: w.dial})
	conn := g.mustDial(t, far(443))
	io.WriteString(conn, "hello")
	if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if _, err := g.dial(t, far(80)); err == nil {
		t.Error("another port was reached")
	}
}
