package vsock

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns two ends of a stream in the host.
func pair(t testing.TB) (ours, theirs *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(f)
		_ = f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = c.(*net.UnixConn)
	}
	t.Cleanup(func() { _ = ends[1].Close() })
	return ends[0], ends[1]
}

// plain hides what kind of Conn it is.
type plain struct{ Conn }

// Ports of the host.
const (
	closedPort = 1
	plainPort  = 2
	openPort   = 3
)

// dialer is the host's side of connections that the guest makes.
type dialer struct {
	t     testing.TB
	conns chan *net.UnixConn
}

func (d *dialer) dial(port uint32) (Conn, error) {
	if port == closedPort {
		return nil, errors.New("nobody listens")
	}
	ours, theirs := pair(d.t)
	d.conns <- theirs
	if port == plainPort {
		return plain{ours}, nil
	}
	return ours, nil
}

func start(t testing.TB) (*guest, *Device, *dialer) {
	t.Helper()
	dl := &dialer{t: t, conns: make(chan *net.UnixConn, maxStreams)}
	d := New(Config{CID: guestCID, Dial: dl.dial})
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if len(d.all) > 0 || len(d.streams) > 0 || d.wide != 0 {
			t.Errorf("%d streams are left", len(d.all))
		}
	})
	return newGuest(t).boot(d, 256), d, dl
}

// listen passes on what the host connects to.
func (g *guest) listen(port uint32) chan *sock {
	c := make(chan *sock, 1024)
	g.mu.Lock()
	g.listeners[port] = func(s *sock) { c <- s }
	g.mu.Unlock()
	return c
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b)
	return b
}

// exchange passes bytes both ways at once, and ends both.
func exchange(t testing.TB, s *sock, c *net.UnixConn, up, down []byte) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.Write(up); err != nil {
			t.Errorf("the guest writes: %v", err)
		}
		s.CloseWrite()
	})
	wg.Go(func() {
		if _, err := c.Write(down); err != nil {
			t.Errorf("the host writes: %v", err)
		}
		_ = c.CloseWrite()
	})
	wg.Go(func() {
		if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, up) {
			t.Errorf("the host got %d bytes of %d, %v", len(got), len(up), err)
		}
	})
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, down) {
		t.Errorf("the guest got %d bytes of %d, %v", len(got), len(down), err)
	}
	wg.Wait()
	s.Close()
}

func TestManyStreams(t *testing.T) {
	g, d, dl := start(t)
	accepted := g.listen(80)
	var wg sync.WaitGroup
	for i := range 100 {
		up, down := random(1+i*3001), random(1+(100-i)*2003)
		var s *sock
		var c *net.UnixConn
		if i%2 == 0 {
			s = g.dial(uint32(2+i%3), uint32(2000+i))
			g.wait(s.isAnswered)
			c = <-dl.conns
		} else {
			ours, theirs := pair(t)
			if i%5 == 0 {
				d.Connect(80, plain{ours})
			} else {
				d.Connect(80, ours)
			}
			s, c = <-accepted, theirs
		}
		wg.Go(func() { exchange(t, s, c, up, down) })
	}
	wg.Wait()
}

func TestRefused(t *testing.T) {
	g, d, _ := start(t)
	s := g.dial(closedPort, 5000)
	g.wait(s.isAnswered)
	if s.open {
		t.Error("a connection that Dial refused is open")
	}
	ours, theirs := pair(t)
	d.Connect(81, ours)
	if n, err := theirs.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a connection to nobody: %d, %v", n, err)
	}
}

func TestConnectBeforeTheDriver(t *testing.T) {
	d := New(Config{CID: guestCID})
	defer d.Close()
	ours, theirs := pair(t)
	gone, left := pair(t)
	d.Connect(80, ours)
	d.Connect(81, gone)
	if _, err := theirs.Write([]byte("early")); err != nil {
		t.Fatal(err)
	}
	_ = left.Close()
	for d.count() > 1 { // the one that went away
		runtime.Gosched()
	}
	g := newGuest(t)
	accepted := g.listen(80)
	g.boot(d, 64)
	s := <-accepted
	b := make([]byte, 5)
	if _, err := io.ReadFull(s, b); err != nil || string(b) != "early" {
		t.Errorf("%q, %v", b, err)
	}
	if g.mu.Lock(); g.has(opRequest, key{firstPort + 1, 81}) {
		t.Error("the guest was asked for one whose host went away")
	}
	g.mu.Unlock()
}

func (d *Device) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.all)
}
