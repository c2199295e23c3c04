//go:build linux

package network

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/internal/shim"
)

// published returns where the host reaches a port of the box.
func published(t *testing.T, box *boxlite.Box, guestPort int, protocol string) string {
	t.Helper()
	ports, err := box.Ports(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range ports {
		if p.GuestPort == guestPort && p.Protocol == protocol && p.HostIP == "127.0.0.1" {
			return net.JoinHostPort(p.HostIP, fmt.Sprint(p.HostPort))
		}
	}
	t.Fatalf("%d/%s is not among %v", guestPort, protocol, ports)
	return ""
}

// greeting sends something to addr and returns the answer's first line.
func greeting(network, addr string) (string, error) {
	conn, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "data\n"); err != nil {
		return "", err
	}
	return firstLine(conn)
}

func TestPorts(t *testing.T) {
	rt := openRuntime(t)
	box := newBox(t, rt, boxlite.BoxSpec{
		Network: boxlite.Network{Allow: []string{"192.0.2.77"}}, // rules are for the other direction
		Ports: []boxlite.Port{
			{GuestPort: 8000},
			{GuestPort: 8000, Protocol: "udp"},
			{HostIP: "0.0.0.0", HostPort: 81, GuestPort: 8000},
			{HostIP: hostIP, HostPort: 8081, GuestPort: 8000, Protocol: "udp"},
		},
	})
	install(t, box, "hostile")
	serveInBox(t, box, "8000")
	tcp, udp := published(t, box, 8000, "tcp"), published(t, box, 8000, "udp")

	t.Run("From the host", func(t *testing.T) {
		for network, addr := range map[string]string{"tcp": tcp, "udp": udp} {
			if got, err := greeting(network, addr); err != nil || !strings.HasPrefix(got, "hello from box to 192.168.127.1:") {
				t.Errorf("%s: %q, %v", network, got, err)
			}
		}
		if got, err := greeting("tcp", "127.0.0.1:81"); err != nil || !strings.HasPrefix(got, "hello from box to 192.168.127.1:") {
			t.Errorf("port 81: %q, %v", got, err)
		}
	})
	t.Run("From elsewhere", func(t *testing.T) {
		for network, addr := range map[string]string{"tcp": hostIP + ":81", "udp": hostIP + ":8081"} {
			conn, err := world.dial(network, clientIP, addr)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, "data\n")
			if got, err := firstLine(conn); err != nil || !strings.Contains(got, "to "+clientIP+":") {
				t.Errorf("%s: %q, %v", network, got, err)
			}
			_ = conn.Close()
		}
		_, port, _ := net.SplitHostPort(tcp)
		if conn, err := world.dial("tcp", clientIP, net.JoinHostPort(hostIP, port)); err == nil {
			conn.Close()
			t.Error("a port of the loopback is open to others")
		}
	})
	t.Run("Half closed", func(t *testing.T) {
		conn, err := net.Dial("tcp", tcp)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, strings.Repeat("data\n", 1000))
		_ = conn.(*net.TCPConn).CloseWrite()
		if got, err := io.ReadAll(conn); err != nil || strings.Count(string(got), "data") != 1000 {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
	t.Run("Nobody listens", func(t *testing.T) {
		p, err := box.Publish(t.Context(), boxlite.Port{GuestPort: 9999})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := greeting("tcp", fmt.Sprintf("127.0.0.1:%d", p.HostPort)); err == nil {
			t.Errorf("got %q", got)
		}
		if err := box.Unpublish(t.Context(), p); err != nil {
			t.Error(err)
		}
	})
	t.Run("Taken", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, err = box.Publish(t.Context(), boxlite.Port{HostPort: l.Addr().(*net.TCPAddr).Port, GuestPort: 8000})
		if !errors.Is(err, boxlite.ErrAlreadyExists) || boxlite.HintOf(err) == "" {
			t.Errorf("got %v", err)
		}
		other, err := rt.Create(t.Context(), boxlite.BoxSpec{Ports: []boxlite.Port{{HostPort: l.Addr().(*net.TCPAddr).Port, GuestPort: 80}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Start(t.Context()); !errors.Is(err, boxlite.ErrAlreadyExists) {
			t.Errorf("a box with a taken port: %v", err)
		}
		if err := other.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("While it runs", func(t *testing.T) {
		for _, network := range []string{"tcp", "udp"} {
			p, err := box.Publish(t.Context(), boxlite.Port{GuestPort: 8000, Protocol: network, HostIP: "127.0.0.1", HostPort: 8088})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := greeting(network, "127.0.0.1:8088"); err != nil || !strings.HasPrefix(got, "hello") {
				t.Errorf("%s: %q, %v", network, got, err)
			}
			conn, err := net.Dial(network, "127.0.0.1:8088")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, "data\n")
			if _, err := firstLine(conn); err != nil {
				t.Error(err)
			}
			if err := box.Unpublish(t.Context(), p); err != nil {
				t.Error(err)
			}
			if network == "tcp" {
				if rest, err := io.ReadAll(conn); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("a connection by a port that is gone: %q, %v", rest, err)
				}
			}
			_ = conn.Close()
			if got, err := greeting(network, "127.0.0.1:8088"); err == nil {
				t.Errorf("%s: still %q", network, got)
			}
			if err := box.Unpublish(t.Context(), p); !errors.Is(err, boxlite.ErrNotFound) {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("Free again", func(t *testing.T) {
		if err := box.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustBeFree(t, "0.0.0.0:81")
		if err := box.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		serveInBox(t, box, "8000")
		if got, err := greeting("tcp", "127.0.0.1:81"); err != nil {
			t.Errorf("after another start: %q, %v", got, err)
		}
		info, err := box.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pid, err := shim.PID(info.HostDir)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_, _ = box.Wait(t.Context()) // it tells that nobody knows how it ended
		mustBeFree(t, "0.0.0.0:81")
	})
}

func mustBeFree(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	_ = l.Close()
}
