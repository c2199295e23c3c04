package dns_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite/internal/network/dns"
)

func TestSourceFollowsItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	now := time.Unix(1e9, 0)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write("nameserver 192.0.2.1")
	s, err := dns.NewSource(path, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	expect := func(about, want string) {
		t.Helper()
		if got := s.Servers()[0].Addr().String(); got != want {
			t.Errorf("%s: %s, want %s", about, got, want)
		}
	}
	expect("at first", "192.0.2.1")
	write("nameserver 192.0.2.22\nsearch a.example")
	expect("within a second", "192.0.2.1")
	now = now.Add(time.Second)
	expect("after a second", "192.0.2.22")
	if got := s.Search(); len(got) != 1 || got[0] != "a.example" {
		t.Errorf("search domains %q", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	expect("without a file", "192.0.2.22")

	s, err = dns.NewSource(path, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	expect("without any file ever", "127.0.0.1")
}
