package guest

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
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

// The agent must not outlive the host's wish, whatever the host says meanwhile; but it
// outlives connections, as long as the host wants to be greeted again.
func TestCloseWithHost(t *testing.T) {
	listener, closed := io.Pipe()
	type end struct {
		r *io.PipeReader
		w *io.PipeWriter
	}
	var ends []end
	for range 3 {
		r, w := io.Pipe()
		ends = append(ends, end{r, w})
	}
	next := 0
	go closeWithHost(closed, ends[0].r, func() (io.ReadCloser, error) {
		if next++; next == len(ends) {
			return nil, errors.New("nobody listens there")
		}
		return ends[next].r, nil
	})
	for i, e := range ends {
		if _, err := e.w.Write([]byte("ignored")); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			e.w.Close()
		} else {
			e.w.CloseWithError(syscall.ECONNRESET)
		}
	}
	if _, err := listener.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the listener ended with %v", err)
	}
	for i, e := range ends {
		if _, err := e.w.Write([]byte("more")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("connection %d is left open: %v", i, err)
		}
	}
}
