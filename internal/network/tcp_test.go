package network

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

func echoServer(conn net.Conn) { _, _ = io.Copy(conn, conn) }

func TestFlowToTheHostPassesBothWays(t *testing.T) {
	port := listen(t, echoServer)
	g := boot(t, allowHost(port))
	for _, addr := range []netip.Addr{protocol.HostAliasAddr4, protocol.HostAliasAddr6} {
		conn := g.mustDial(t, netip.AddrPortFrom(addr, port))
		want := make([]byte, 3<<20)
		rand.Read(want)
		go func() {
			conn.Write(want)
			conn.CloseWrite()
		}()
		got, err := io.ReadAll(conn)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s: got %d bytes back, %v", addr, len(got), err)
		}
	}
}

func TestHalfCloseIsPassedOn(t *testing.T) {
	port := listen(t, func(conn net.Conn) {
		all, _ := io.ReadAll(conn)
		fmt.Fprintf(conn, "you said %s", all)
	})
	g := boot(t, allowHost(port))
	conn := g.mustDial(t, alias(port))
	io.WriteString(conn, "hello")
	conn.CloseWrite()
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != "you said hello" {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestWhatTheServerRefusesIsRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := addrPort(listener.Addr()).Port()
	listener.Close()
	g := boot(t, allowHost(port))
	if _, err := g.dial(t, alias(port)); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("got %v", err)
	}
	if got := g.Stats().Failed; got != 1 {
		t.Errorf("%d flows failed", got)
	}
}

func TestWhatThePolicyDeniesIsRefused(t *testing.T) {
	port := listen(t, echoServer)
	g := boot(t, Config{})
	if _, err := g.dial(t, alias(port)); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("got %v", err)
	}
	if d := <-g.denied; d.Kind != "host" || d.Addr != alias(port) || d.Count != 1 {
		t.Errorf("told of %+v", d)
	}
}

func TestTheGatewayServesNothingElse(t *testing.T) {
	g := boot(t, Config{})
	for _, port := range []uint16{22, 80, 443} {
		if conn, err := g.dial(t, netip.AddrPortFrom(protocol.GatewayAddr4, port)); err == nil {
			conn.Close()
			t.Errorf("port %d accepts", port)
		}
	}
}

func TestSetPolicyResetsFlows(t *testing.T) {
	port := listen(t, echoServer)
	g := boot(t, allowHost(port))
	conn := g.mustDial(t, alias(port))
	io.WriteString(conn, "x")
	io.ReadFull(conn, make([]byte, 1))
	if err := g.SetPolicy(policy.Config{AllowHost: []uint16{port}, Deny: []string{"192.0.2.1"}}); err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "y")
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatalf("a flow that is still allowed ended: %v", err)
	}
	if err := g.SetPolicy(policy.Config{}); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Fatalf("the flow ended with %v", err)
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	port := listen(t, echoServer)
	cfg := allowHost(port)
	cfg.MaxConnections = 2
	g := boot(t, cfg)
	g.mustDial(t, alias(port))
	g.mustDial(t, alias(port))
	if _, err := g.dial(t, alias(port)); err == nil {
		t.Fatal("a third connection was made")
	}
}

func TestManyConnections(t *testing.T) {
	port := listen(t, echoServer)
	g := boot(t, allowHost(port))
	short := 10_000
	if testing.Short() {
		short = 1000
	}
	var wg sync.WaitGroup
	for range 1000 { // at the same time
		wg.Go(func() {
			conn := g.mustDial(t, alias(port))
			for range 2 {
				io.WriteString(conn, "hello")
				if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for range 50 {
		wg.Go(func() {
			for range short / 50 {
				conn, err := g.dial(t, alias(port))
				if err != nil {
					t.Error(err)
					return
				}
				io.WriteString(conn, "hello")
				conn.CloseWrite()
				if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
					t.Errorf("got %q, %v", got, err)
				}
				conn.Close()
			}
		})
	}
	wg.Wait()
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if s := g.Stats(); s.Connections != 0 || s.Total != int64(1000+short) || s.Failed != 0 {
		t.Errorf("in the end: %+v", s)
	}
}
