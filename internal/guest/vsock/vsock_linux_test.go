package vsock

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen listens for connections of this machine to itself. Not every host has that.
func listen(t *testing.T, peer uint32) *Listener {
	t.Helper()
	l, err := Listen(Addr{unix.VMADDR_CID_LOCAL, unix.VMADDR_PORT_ANY}, peer)
	if err != nil {
		t.Skipf("this host has no sockets to itself: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestConnectionCarriesBothWays(t *testing.T) {
	l := listen(t, unix.VMADDR_CID_LOCAL)
	var accepted net.Conn
	var wg sync.WaitGroup
	wg.Go(func() {
		var err error
		if accepted, err = l.Accept(); err != nil {
			t.Error(err)
		}
	})
	conn, err := Dial(l.local)
	if err != nil {
		t.Skipf("this host has no sockets to itself: %v", err)
	}
	defer conn.Close()
	wg.Wait()
	defer accepted.Close()
	if conn.RemoteAddr() != l.Addr() || accepted.RemoteAddr().(Addr).Port != conn.LocalAddr().(Addr).Port {
		t.Errorf("%v to %v, %v from %v", conn.LocalAddr(), conn.RemoteAddr(), accepted.LocalAddr(), accepted.RemoteAddr())
	}
	if _, err := conn.Write([]byte("there")); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(accepted); err != nil || string(got) != "there" {
		t.Errorf("%q, %v", got, err)
	}
	if err := conn.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after the deadline: %v", err)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := accepted.Write([]byte("back")); err != nil {
		t.Fatal(err)
	}
	accepted.Close()
	if got, err := io.ReadAll(conn); err != nil || string(got) != "back" {
		t.Errorf("%q, %v", got, err)
	}
}

// A process in a container must not reach the agent, even if it could make a socket.
func TestOthersAreNotAccepted(t *testing.T) {
	l := listen(t, unix.VMADDR_CID_HOST)
	var wg sync.WaitGroup
	wg.Go(func() {
		if conn, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accepted %v, %v", conn, err)
		}
	})
	if conn, err := Dial(l.local); err == nil {
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("read %d bytes", n)
		}
		conn.Close()
	}
	l.Close()
	wg.Wait()
}

func TestNobodyListens(t *testing.T) {
	l := listen(t, unix.VMADDR_CID_LOCAL)
	l.Close()
	if conn, err := Dial(l.local); err == nil {
		conn.Close()
		t.Error("connected")
	}
}
