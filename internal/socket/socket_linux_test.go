package socket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/boxlite-go/boxlite/internal/guest/sockets"
	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testRoot is a folder that stands for a container's root.
type testRoot struct {
	dir  string
	open int
}

func (r testRoot) Open(path string, flags int, mode uint32) (int, error) {
	return unix.Openat2(r.open, path, &unix.OpenHow{
		Flags: uint64(flags) | unix.O_CLOEXEC, Mode: uint64(mode), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
}

func (r testRoot) Owner() (uid, gid uint32, err error) {
	return uint32(os.Geteuid()), uint32(os.Getegid()), nil
}

func mustDo(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// newAgent serves sockets as the agent does, with a folder as the container's root.
func newAgent(t *testing.T) (*sockets.Service, testRoot, grpc.ClientConnInterface) {
	t.Helper()
	root := testRoot{dir: t.TempDir()}
	var err error
	root.open, err = unix.Open(root.dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	mustDo(t, err)
	t.Cleanup(func() { unix.Close(root.open) })
	s := sockets.New()
	s.Serve(root)
	l := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	boxlitev1.RegisterSocketsServer(server, s)
	go func() { _ = server.Serve(l) }() // until the end of the test
	t.Cleanup(server.Stop)
	guest, err := grpc.NewClient("passthrough:///test", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	mustDo(t, err)
	t.Cleanup(func() { guest.Close() })
	t.Cleanup(func() { s.End(context.Background()) })
	return s, root, guest
}

// pair returns both ends of a connection in the guest.
func pair(t *testing.T, guest grpc.ClientConnInterface, network, address string) (here, there net.Conn) {
	t.Helper()
	l, err := Listen(t.Context(), guest, network, address)
	mustDo(t, err)
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	here, err = Dial(t.Context(), guest, network, l.Addr().String())
	mustDo(t, err)
	there = <-accepted
	t.Cleanup(func() {
		here.Close()
		there.Close()
	})
	return here, there
}

func TestConn(t *testing.T) {
	for network, address := range map[string]string{"tcp": "localhost:0", "unix": "/socket"} {
		t.Run(network, func(t *testing.T) {
			_, _, guest := newAgent(t)
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				c1, c2 = pair(t, guest, network, address)
				return c1, c2, func() {
					c1.Close()
					c2.Close()
				}, nil
			})
		})
	}
}

func TestHalfClose(t *testing.T) {
	_, _, guest := newAgent(t)
	for network, address := range map[string]string{"tcp": "localhost:0", "unix": "/socket"} {
		here, there := pair(t, guest, network, address)
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		sent := make(chan error, 1)
		go func() {
			_, err := here.Write(big)
			sent <- errors.Join(err, here.(interface{ CloseWrite() error }).CloseWrite())
		}()
		got, err := io.ReadAll(there)
		if e := <-sent; err != nil || e != nil || !bytes.Equal(got, big) {
			t.Errorf("%s: %d bytes came of %d: %v, %v", network, len(got), len(big), err, e)
		}
		_, err = there.Write([]byte("back"))
		mustDo(t, err, there.Close())
		if got, err := io.ReadAll(here); err != nil || string(got) != "back" {
			t.Errorf("%s: %q, %v came back", network, got, err)
		}
	}
}

func TestDatagrams(t *testing.T) {
	_, _, guest := newAgent(t)
	peer, err := net.ListenPacket("udp", "127.0.0.1:0")
	mustDo(t, err)
	defer peer.Close()
	c, err := Dial(t.Context(), guest, "udp", peer.LocalAddr().String())
	mustDo(t, err)
	defer c.Close()
	large := strings.Repeat("x", 60_000)
	for _, text := range []string{"one", "", "three", large} {
		_, err := c.Write([]byte(text))
		mustDo(t, err)
		buf := make([]byte, 1<<16)
		n, from, err := peer.ReadFrom(buf)
		if err != nil || string(buf[:n]) != text {
			t.Fatalf("%d bytes came of %d: %v", n, len(text), err)
		}
		_, err = peer.WriteTo(buf[:n], from)
		mustDo(t, err)
		if n, err := c.Read(buf); err != nil || string(buf[:n]) != text {
			t.Errorf("%d bytes came back of %d: %v", n, len(text), err)
		}
		if from.String() != c.LocalAddr().String() {
			t.Errorf("it comes from %v, not %v", from, c.LocalAddr())
		}
	}
}

func TestErrors(t *testing.T) {
	s, root, guest := newAgent(t)
	mustDo(t, os.WriteFile(root.dir+"/file", nil, 0o644), os.Symlink("/proc/self/root/"+root.dir, root.dir+"/magic"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	mustDo(t, err)
	taken := l.Addr().String()
	for _, test := range []struct {
		listen           bool
		network, address string
		want             error
	}{
		{false, "tcp", "example.com:80", protocol.KindInvalidArgument},
		{false, "tcp", "localhost:http", protocol.KindInvalidArgument},
		{false, "tcp", "localhost:65536", protocol.KindInvalidArgument},
		{false, "tcp", "localhost", protocol.KindInvalidArgument},
		{false, "tcp6", "127.0.0.1:1", protocol.KindInvalidArgument},
		{false, "ip", "127.0.0.1", protocol.KindInvalidArgument},
		{false, "unix", "relative", protocol.KindInvalidArgument},
		{false, "unix", "@abstract", protocol.KindInvalidArgument},
		{false, "unix", "/file", protocol.KindInvalidArgument},
		{false, "unix", "/none", protocol.KindNotFound},
		{false, "unix", "/magic/file", protocol.KindNotFound},
		{true, "tcp", taken, syscall.EADDRINUSE},
		{true, "tcp", taken, protocol.KindAlreadyExists},
		{true, "tcp", "192.0.2.1:0", protocol.KindNetwork},
		{true, "udp", "localhost:0", protocol.KindInvalidArgument},
		{true, "unix", "/file", syscall.EADDRINUSE},
		{true, "unix", "/", protocol.KindInvalidArgument},
		{true, "unix", "/none/socket", protocol.KindNotFound},
		{true, "unix", "/" + strings.Repeat("x", 120), protocol.KindInvalidArgument},
	} {
		var err error
		if test.listen {
			_, err = Listen(t.Context(), guest, test.network, test.address)
		} else {
			_, err = Dial(t.Context(), guest, test.network, test.address)
		}
		if !errors.Is(err, test.want) || strings.Contains(err.Error(), "/proc/self/fd") {
			t.Errorf("%s %s: %v, want %v", test.network, test.address, err, test.want)
		}
	}
	mustDo(t, l.Close())
	if _, err := Dial(t.Context(), guest, "tcp", taken); !errors.Is(err, syscall.ECONNREFUSED) || !errors.Is(err, protocol.KindNetwork) {
		t.Errorf("to dial a closed port: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(ctx, guest, "tcp", taken); !errors.Is(err, context.Canceled) {
		t.Errorf("to dial without a context: %v", err)
	}
	s.End(t.Context())
	if _, err := Dial(t.Context(), guest, "tcp", taken); !errors.Is(err, protocol.KindStopped) {
		t.Errorf("to dial a box that has ended: %v", err)
	}
}

func TestUnixListener(t *testing.T) {
	_, root, guest := newAgent(t)
	path := filepath.Join(root.dir, "socket")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	mustDo(t, err)
	stale.SetUnlinkOnClose(false)
	mustDo(t, stale.Close())
	for range 2 {
		l, err := Listen(t.Context(), guest, "unix", "/socket")
		mustDo(t, err)
		info, err := os.Lstat(path)
		if err != nil || info.Mode() != os.ModeSocket|0o600 {
			t.Fatalf("the socket is %v, %v", info, err)
		}
		if _, err := Listen(t.Context(), guest, "unix", "/socket"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("to listen twice: %v", err)
		}
		mustDo(t, l.Close())
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after Close the socket is there: %v", err)
		}
	}
	l, err := Listen(t.Context(), guest, "unix", "/socket")
	mustDo(t, err, os.Remove(path), os.WriteFile(path, nil, 0o644))
	mustDo(t, l.Close())
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("Close removed what it did not make: %v", err)
	}
}

func TestListenerCloses(t *testing.T) {
	_, _, guest := newAgent(t)
	l, err := Listen(t.Context(), guest, "tcp", "127.0.0.1:0")
	mustDo(t, err)
	accepted := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		accepted <- err
	}()
	mustDo(t, l.Close())
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept ended with %v", err)
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("to close again: %v", err)
	}
	again, err := net.Listen("tcp", l.Addr().String())
	mustDo(t, err)
	again.Close()
}

func TestBrokenConnection(t *testing.T) {
	s, _, guest := newAgent(t)
	here, there := pair(t, guest, "tcp", "localhost:0")
	_, err := there.Write([]byte("unread"))
	mustDo(t, err)
	s.End(t.Context())
	for err == nil {
		_, err = here.Write([]byte("into the void"))
	}
	if timeout, ok := err.(net.Error); !ok || timeout.Timeout() {
		t.Errorf("to write: %v", err)
	}
	if _, err := io.ReadAll(there); !errors.Is(err, protocol.KindStopped) {
		t.Errorf("to read: %v", err)
	}
}
