package network

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"

	"github.com/boxlite-go/boxlite/internal/network/netstack"
	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// serveGuest has the guest listen on a TCP port.
func (g *guest) serveGuest(t *testing.T, port uint16, serve func(net.Conn)) {
	t.Helper()
	addr := netip.AddrPortFrom(protocol.GuestAddr4, port)
	listener, err := gonet.ListenTCP(g.stack, netstack.Full(addr), netstack.Protocol(addr.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serve(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		listener.Shutdown()
		listener.Close()
		<-done
	})
}

func TestPublishedPort(t *testing.T) {
	g := boot(t, Config{})
	g.serveGuest(t, 8080, func(conn net.Conn) {
		all, _ := io.ReadAll(conn)
		io.WriteString(conn, "got "+string(all)+" from "+strings.Split(conn.RemoteAddr().String(), ":")[0])
	})
	port, err := g.Publish(Port{GuestPort: 8080})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", netip.AddrPortFrom(port.HostIP, port.HostPort).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "hello")
	conn.(*net.TCPConn).CloseWrite()
	// A loopback address means nothing in the guest, so it sees the gateway.
	if got, err := io.ReadAll(conn); err != nil || string(got) != "got hello from 192.168.127.1" {
		t.Fatalf("got %q, %v", got, err)
	}
	if err := g.Unpublish(port); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", netip.AddrPortFrom(port.HostIP, port.HostPort).String()); err == nil {
		t.Error("the port still accepts")
	}
	if err := g.Unpublish(port); !errors.Is(err, protocol.KindNotFound) {
		t.Errorf("unpublished again: %v", err)
	}
}

func TestTheGuestSeesItsClientsAddress(t *testing.T) {
	g := boot(t, Config{})
	seen := make(chan string, 1)
	g.serveGuest(t, 80, func(conn net.Conn) { seen <- conn.RemoteAddr().String() })
	conn, err := g.DialGuest(t.Context(), "tcp", 80, netip.MustParseAddrPort("203.0.113.9:4711"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := <-seen; got != "203.0.113.9:4711" {
		t.Errorf("the guest saw %s", got)
	}
}

func TestTakenPort(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	g := boot(t, Config{})
	_, err = g.Publish(Port{HostPort: addrPort(listener.Addr()).Port(), GuestPort: 80})
	if !errors.Is(err, protocol.KindAlreadyExists) || protocol.HintOf(err) == "" {
		t.Errorf("got %v, hint %q", err, protocol.HintOf(err))
	}
}

func TestPublishedPortWithoutServerIsReset(t *testing.T) {
	g := boot(t, Config{})
	port, err := g.Publish(Port{GuestPort: 81})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", netip.AddrPortFrom(port.HostIP, port.HostPort).String())
	if err != nil {
		return // the reset came before connect returned
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

func TestPublishedUDPPort(t *testing.T) {
	g := boot(t, Config{})
	local := netstack.Full(netip.AddrPortFrom(protocol.GuestAddr4, 5353))
	server, err := gonet.DialUDP(g.stack, &local, nil, netstack.Protocol(protocol.GuestAddr4))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			server.WriteTo(append([]byte("re: "), buf[:n]...), from)
		}
	}()
	port, err := g.Publish(Port{GuestPort: 5353, Protocol: policy.UDP})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "two"} {
		conn, err := net.Dial("udp", netip.AddrPortFrom(port.HostIP, port.HostPort).String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, text)
		buf := make([]byte, 100)
		n, err := conn.Read(buf)
		if err != nil || string(buf[:n]) != "re: "+text {
			t.Fatalf("got %q, %v", buf[:n], err)
		}
	}
}

func TestUDPFlow(t *testing.T) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, maxDatagram)
		for {
			n, from, err := socket.ReadFrom(buf)
			if err != nil {
				return
			}
			socket.WriteTo(buf[:n], from)
		}
	}()
	t.Cleanup(func() { socket.Close(); <-done })
	port := addrPort(socket.LocalAddr()).Port()
	g := boot(t, allowHost(port))
	for _, to := range []tcpip.FullAddress{netstack.Full(alias(port))} {
		conn, err := gonet.DialUDP(g.stack, nil, &to, netstack.Protocol(protocol.GuestAddr4))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, size := range []int{1, 1400, 60000} {
			buf := make([]byte, maxDatagram)
			conn.Write(buf[:size])
			if n, err := conn.Read(buf); n != size || err != nil {
				t.Fatalf("sent %d bytes, got %d, %v", size, n, err)
			}
		}
	}
}
