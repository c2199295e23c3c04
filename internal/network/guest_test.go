package network

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/boxlite-go/boxlite/internal/network/link"
	"github.com/boxlite-go/boxlite/internal/network/netstack"
	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guest is a network with a guest that has a stack of its own.
type guest struct {
	*Network
	stack *stack.Stack
	nic   *netstack.NIC

	mu      sync.Mutex
	denials []Denial
	denied  chan Denial
}

// boot starts a network, and a guest in it. Both end with the test.
func boot(t testing.TB, cfg Config) *guest {
	t.Helper()
	g := &guest{denied: make(chan Denial, 200)}
	n, err := New(cfg, discard, func(d Denial) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.denials = append(g.denials, d)
		g.denied <- d
	})
	if err != nil {
		t.Fatal(err)
	}
	g.Network = n
	host, far := link.Pipe()
	n.Serve(host)
	g.nic = netstack.NewNIC(protocol.GuestMAC, protocol.GatewayMAC)
	g.stack, err = netstack.New(g.nic, netstack.Config{Addrs: []netip.Addr{protocol.GuestAddr4, protocol.GuestAddr6}})
	if err != nil {
		t.Fatal(err)
	}
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = g.nic.Transmit(far.Send) })
	tasks.Go(func() {
		for far.Receive(g.nic.Deliver) == nil {
		}
	})
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		far.Close()
		g.nic.Shutdown()
		tasks.Wait()
		g.stack.Destroy()
	})
	return g
}

// dial connects from inside the guest.
func (g *guest) dial(t testing.TB, addr netip.AddrPort) (*gonet.TCPConn, error) {
	t.Helper()
	return gonet.DialContextTCP(t.Context(), g.stack, netstack.Full(addr), netstack.Protocol(addr.Addr()))
}

func (g *guest) mustDial(t testing.TB, addr netip.AddrPort) *gonet.TCPConn {
	t.Helper()
	conn, err := g.dial(t, addr)
	if err != nil {
		t.Fatalf("dial %s: %v", addr, err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// world is a host's network whose addresses lead to functions of a test.
type world struct {
	mu    sync.Mutex
	tcp   map[string]func(net.Conn)
	asked []string
	wg    sync.WaitGroup
}

func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, network+" "+address)
	if strings.HasPrefix(address, "127.0.0.1:") {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	serve := w.tcp[address]
	if serve == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errRefused}
	}
	near, far := net.Pipe()
	w.wg.Go(func() {
		defer far.Close()
		serve(far)
	})
	return near, nil
}

// listen starts a TCP server on the host's loopback.
func listen(t testing.TB, serve func(net.Conn)) uint16 {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		wg.Wait()
	})
	return addrPort(listener.Addr()).Port()
}

var discard = slog.New(slog.DiscardHandler)

func alias(port uint16) netip.AddrPort { return netip.AddrPortFrom(protocol.HostAliasAddr4, port) }

func allowHost(ports ...uint16) Config { return Config{Policy: policy.Config{AllowHost: ports}} }
