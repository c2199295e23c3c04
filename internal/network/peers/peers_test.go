package peers

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// join returns a box in networks that echoes what comes on port 80, with the address
// of who asked before it, and refuses other ports.
func join(t *testing.T, dir, box string, networks ...string) *Peers {
	t.Helper()
	c := Config{Box: box}
	for _, n := range networks {
		m, err := Prepare(dir, n)
		if err != nil {
			t.Fatal(err)
		}
		c.Networks = append(c.Networks, m)
	}
	p, err := Join(c, func(_ context.Context, from netip.Addr, protocol string, port uint16, conn net.Conn, reached func(bool) error) {
		defer conn.Close()
		if err := reached(port == 80); err != nil || port != 80 {
			return
		}
		_, _ = io.WriteString(conn, protocol+" "+from.String()+"\n")
		_, _ = io.Copy(conn, conn)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestBoxesInOneNetworkReachEachOther(t *testing.T) {
	dir := t.TempDir()
	web, db := join(t, dir, "web", "backend"), join(t, dir, "DB", "backend", "other")
	for _, name := range []string{"DB", "db", "db.", "db.backend"} {
		addr, ok := web.Lookup(name)
		if !ok || !Addresses.Contains(addr) {
			t.Fatalf("%s: %v, %v", name, addr, ok)
		}
		conn, err := web.Dial(t.Context(), "tcp", netip.AddrPortFrom(addr, 80))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "hello"); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		back, _ := db.Lookup("web")
		if want := "tcp " + back.String() + "\nhello"; string(got) != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		_ = conn.Close()
		if _, err := web.Dial(t.Context(), "tcp", netip.AddrPortFrom(addr, 81)); !errors.Is(err, errRefused) {
			t.Errorf("another port: %v", err)
		}
	}
	for _, name := range []string{"web", "db.other", "nobody", "../backend/db", ""} {
		if addr, ok := web.Lookup(name); ok {
			t.Errorf("%q: %v", name, addr)
		}
	}
}

func TestBoxesInOtherNetworksAreNotThere(t *testing.T) {
	dir := t.TempDir()
	web := join(t, dir, "web", "front")
	join(t, dir, "db", "back")
	if addr, ok := web.Lookup("db"); ok {
		t.Error(addr)
	}
	if _, err := web.Dial(t.Context(), "tcp", netip.MustParseAddrPort("198.18.0.1:80")); err == nil {
		t.Error("an address that stands for no box was reached")
	}
}

// TestStrangers: who does not know the key gets in nowhere, and takes nobody's place.
func TestStrangers(t *testing.T) {
	dir := t.TempDir()
	web, db := join(t, dir, "web", "n"), join(t, dir, "db", "n")
	right, _ := db.membership("n")
	stranger := func(r request, key []byte) error {
		conn, err := net.Dial("tcp", db.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return ask(conn, key, r)
	}
	good := request{Network: "n", From: "web", To: "db", Protocol: "tcp", Port: 80}
	if err := stranger(good, right.Key); err != nil {
		t.Fatal(err)
	}
	if err := stranger(good, make([]byte, keySize)); !errors.Is(err, errStranger) {
		t.Errorf("with another key: %v", err)
	}
	for _, change := range []func(*request){
		func(r *request) { r.Network = "other" }, func(r *request) { r.To = "web" }, func(r *request) { r.From = "../x" },
		func(r *request) { r.Protocol = "icmp" }, func(r *request) { r.Port = 0 },
	} {
		r := good
		change(&r)
		if err := stranger(r, right.Key); err == nil {
			t.Errorf("%+v was accepted", r)
		}
	}

	// A program that listens where a shim did before it was killed.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = answer(conn, func(request) []byte { return make([]byte, keySize) })
	}()
	defer l.Close()
	if err := right.announce("gone", l.Addr().(*net.TCPAddr).AddrPort().Port()); err != nil {
		t.Fatal(err)
	}
	addr, _ := web.Lookup("gone")
	if _, err := web.Dial(t.Context(), "tcp", netip.AddrPortFrom(addr, 80)); !errors.Is(err, errStranger) {
		t.Errorf("an impostor: %v", err)
	}
}

func TestLeave(t *testing.T) {
	dir := t.TempDir()
	web := join(t, dir, "web", "n")
	join(t, dir, "db", "n")
	if err := Leave(dir, "db"); err != nil {
		t.Fatal(err)
	}
	if _, ok := web.Lookup("db"); ok {
		t.Error("it is still there")
	}
	left, err := os.ReadDir(filepath.Join(dir, "n"))
	if err != nil || len(left) != 2 { // the key, and the other box
		t.Errorf("%v, %v", left, err)
	}
}

func FuzzAnswer(f *testing.F) {
	key := make([]byte, keySize)
	f.Add([]byte(magic + "\x00\x02{}0123456789abcdef"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		us, them := net.Pipe()
		go func() {
			defer them.Close()
			go func() { _, _ = io.Copy(io.Discard, them) }()
			_, _ = them.Write(sent)
		}()
		if r, err := answer(us, func(request) []byte { return key }); err == nil {
			t.Errorf("%+v was accepted without a proof", r)
		}
		_ = us.Close()
	})
}
