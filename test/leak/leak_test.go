package leak

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestWhatIsLeftIsCounted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("counts in /proc")
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	place := Place{Home: t.TempDir(), Tmp: t.TempDir()}
	count := func() int {
		t.Helper()
		left, err := place.All(over)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(strings.Join(left, "\n"))
		return len(left)
	}
	if n := count(); n != 0 {
		t.Fatalf("%d in nothing", n)
	}
	file := filepath.Join(place.Home, "state.json.new")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(place.Tmp, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(place.Home, "s"))
	if err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 4 { // the socket counts as file, and as what listens
		t.Errorf("%d, want 4", n)
	}
	l.Close()
	cmd := exec.Command("sleep", "1000")
	cmd.Dir = place.Home
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 3 {
		t.Errorf("%d, want 3", n)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	open, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 3 { // this process has one open
		t.Errorf("%d, want 3", n)
	}
	open.Close()
}
