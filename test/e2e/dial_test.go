package e2e

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/boxlite-go/boxlite"
)

// TestSockets: connections into a box, and out of it, are as those of package net.
// The box has no network.
func TestSockets(t *testing.T) {
	needMachine(t)
	t.Parallel()
	box := newBox(t, openRuntime(t, boxlite.Options{}), boxlite.BoxSpec{})

	for network, address := range map[string]string{"tcp": "localhost:0", "unix": "/tmp/socket"} {
		t.Run(network, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				l, err := box.Listen(t.Context(), network, address)
				if err != nil {
					return nil, nil, nil, err
				}
				defer l.Close()
				accepted := make(chan error, 1)
				go func() {
					var err error
					c2, err = l.Accept()
					accepted <- err
				}()
				c1, err = box.DialContext(t.Context(), network, l.Addr().String())
				if err = errors.Join(err, <-accepted); err != nil {
					return nil, nil, nil, err
				}
				return c1, c2, func() {
					c1.Close()
					c2.Close()
				}, nil
			})
		})
	}

	t.Run("Into", func(t *testing.T) {
		l := listenIn(t, box)
		addr := l.Addr().String()
		_, port, _ := net.SplitHostPort(addr)
		l.Close() // for a program in the box
		if _, err := box.DialContext(t.Context(), "tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) || !errors.Is(err, boxlite.ErrNetwork) {
			t.Errorf("nobody listens, and the error is %v", err)
		}
		c := box.Command("nc", "-l", "-p", port, "-e", "cat")
		c.Stderr = os.Stderr
		start(t, c)
		conn := dialUntil(t, box, addr)
		defer conn.Close()
		_, err := io.WriteString(conn, "hello")
		if err != nil || conn.(interface{ CloseWrite() error }).CloseWrite() != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
			t.Errorf("%q, %v came back", got, err)
		}
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	})

	t.Run("OutOf", func(t *testing.T) {
		l := listenIn(t, box)
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		c := box.Command("nc", "127.0.0.1", port)
		c.Stdin = strings.NewReader("from the box\n")
		var out strings.Builder
		c.Stdout = &out
		start(t, c)
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		if err != nil || string(got) != "from the box\n" {
			t.Errorf("%q, %v came", got, err)
		}
		if _, err := io.WriteString(conn, "to the box"); err != nil {
			t.Error(err)
		}
		conn.Close()
		if err := c.Wait(); err != nil || out.String() != "to the box" {
			t.Errorf("the box has %q, %v", &out, err)
		}
	})

	t.Run("Stop", func(t *testing.T) {
		l := listenIn(t, box)
		conn, err := box.DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := box.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(conn); err == nil {
			t.Error("a connection ended in peace when its box was stopped")
		}
		for err == nil { // a connection may have been accepted before
			_, err = l.Accept()
		}
		l.Close()
		again := listenIn(t, box) // starts the box
		again.Close()
	})
}

func listenIn(t *testing.T, box *boxlite.Box) net.Listener {
	t.Helper()
	l, err := box.Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// dialUntil connects to a program that has been started, and may not listen yet.
func dialUntil(t *testing.T, box *boxlite.Box, addr string) net.Conn {
	t.Helper()
	for {
		conn, err := box.DialContext(t.Context(), "tcp", addr)
		if err == nil {
			return conn
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
	}
}
