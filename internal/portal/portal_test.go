package portal_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxlite-go/boxlite/internal/portal"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns the two ends of a portal over a Unix socket pair.
func pair(t *testing.T) (host, guest *portal.Session) {
	t.Helper()
	a, b := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		var err error
		if guest, err = portal.Server(t.Context(), b, 7); err != nil {
			t.Errorf("server: %v", err)
		}
	})
	host, err := portal.Client(t.Context(), a)
	wg.Wait()
	if err != nil || guest == nil {
		t.Fatalf("client: %v", err)
	}
	t.Cleanup(func() { host.Close(); guest.Close() })
	return host, guest
}

// serveEcho sends back what it is sent, on port 7.
func serveEcho(t *testing.T, guest *portal.Session) {
	t.Helper()
	l := guest.Listener(7)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() { guest.Close(); wg.Wait() })
}

func echo(t *testing.T, conn net.Conn, closeWrite func() error) {
	t.Helper()
	sent := make([]byte, 3<<20)
	_, _ = rand.Read(sent)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := conn.Write(sent); err != nil {
			t.Errorf("write: %v", err)
		}
		if err := closeWrite(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	got, err := io.ReadAll(conn)
	wg.Wait()
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("got %d bytes of %d back, or other ones: %v", len(got), len(sent), err)
	}
}

func TestManyStreamsAtOnce(t *testing.T) {
	host, guest := pair(t)
	serveEcho(t, guest)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			conn, err := host.Dial(t.Context(), 7)
			if err != nil {
				t.Errorf("dial: %v", err)
				return
			}
			echo(t, conn, conn.Close)
		})
	}
	wg.Wait()
}

func TestForwardThroughUnixSocket(t *testing.T) {
	host, guest := pair(t)
	serveEcho(t, guest)
	path := filepath.Join(t.TempDir(), "p.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = portal.Forward(t.Context(), l, host) })
	defer wg.Wait()
	defer l.Close()
	raw, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := portal.DialUnix(raw, 7)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	echo(t, conn, raw.(*net.UnixConn).CloseWrite)
}

// joiner takes connections itself.
type joiner struct {
	portal.Dialer
	port  uint32
	bytes []byte
	err   error
}

func (j *joiner) Join(_ context.Context, conn syscall.Conn, port uint32) error {
	if j.port = port; j.err != nil {
		return j.err
	}
	c := conn.(net.Conn)
	j.bytes = make([]byte, 5)
	if _, err := io.ReadFull(c, j.bytes); err != nil {
		return err
	}
	_, err := c.Write([]byte("answer"))
	return err
}

// A connection is joined as it is, with what its client has sent meanwhile.
func TestForwardToJoiner(t *testing.T) {
	for _, failed := range []error{nil, errors.New("the guest is gone")} {
		path := filepath.Join(t.TempDir(), "p.sock")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		j := &joiner{err: failed}
		var wg sync.WaitGroup
		wg.Go(func() { _ = portal.Forward(t.Context(), l, j) })
		raw, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := portal.DialUnix(raw, 7)
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		if failed == nil {
			want = "answer"
			if _, err := conn.Write([]byte("first")); err != nil {
				t.Fatal(err)
			}
		}
		got, err := io.ReadAll(conn)
		if err != nil || string(got) != want {
			t.Errorf("got %q, %v", got, err)
		}
		conn.Close()
		l.Close()
		wg.Wait()
		if j.port != 7 || failed == nil && string(j.bytes) != "first" {
			t.Errorf("joined to %d with %q", j.port, j.bytes)
		}
	}
}

func TestUnknownPortEndsAtOnce(t *testing.T) {
	host, _ := pair(t)
	conn, err := host.Dial(t.Context(), 99)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read: %v, want EOF", err)
	}
}

func TestGreeting(t *testing.T) {
	for _, test := range []struct {
		name, greeting string
	}{
		{"not a greeting", "HTTP/1.1 400"},
		{"other version", "BOXL\x00\x00\xff\xff"},
		{"cut off", "BOX"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := net.Pipe()
			var wg sync.WaitGroup
			wg.Go(func() {
				_, _ = io.ReadFull(b, make([]byte, 8))
				_, _ = io.WriteString(b, test.greeting)
				_ = b.Close()
			})
			_, err := portal.Client(t.Context(), a)
			wg.Wait()
			if !errors.Is(err, protocol.KindPortal) {
				t.Errorf("error %v, want a portal error", err)
			}
		})
	}
}

func TestGreetingEndsWithContext(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.ReadFull(b, make([]byte, 8))
		cancel()
	})
	_, err := portal.Client(ctx, a)
	wg.Wait()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

// TestStreamsBeforeTheListener: the host opens streams as soon as it is greeted,
// which may be before the guest has come to look for its listener.
func TestStreamsBeforeTheListener(t *testing.T) {
	host, guest := pair(t)
	if guest.Listener(8) != nil {
		t.Error("there is a listener of a port that was not asked for")
	}
	conn, err := host.Dial(t.Context(), 7)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	other, err := host.Dial(t.Context(), 8)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	// What comes from port 8 is its end, so port 7's stream has been delivered.
	if n, err := other.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("from a port without listener: %d bytes, %v", n, err)
	}
	serveEcho(t, guest)
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Errorf("the early stream is lost: %v", err)
	}
}
