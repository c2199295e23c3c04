package guest

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

func TestFindPort(t *testing.T) {
	class := t.TempDir()
	if got := findPort(filepath.Join(class, "nowhere")); got != "" {
		t.Errorf("found %q where nothing is", got)
	}
	add := func(port, name string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(class, port), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(class, port, "name"), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	add("vport1p0", "other\n")
	if got := findPort(class); got != "" {
		t.Errorf("found %q, which has another name", got)
	}
	add("vport1p1", protocol.PortName+"\n")
	if got := findPort(class); got != "vport1p1" {
		t.Errorf("found %q", got)
	}
}

// The agent must not outlive the host's wish, whatever the host says meanwhile.
func TestCloseWith(t *testing.T) {
	r, w := io.Pipe()
	listener, closed := io.Pipe()
	go closeWith(closed, r)
	if _, err := w.Write([]byte("ignored")); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := listener.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the listener ended with %v", err)
	}
}
