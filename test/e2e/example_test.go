package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestHello runs the example of the README's first screen.
func TestHello(t *testing.T) {
	needMachine(t)
	t.Parallel()
	hello := filepath.Join(t.TempDir(), "hello")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", hello, "github.com/boxlite-go/boxlite/examples/hello")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	run := exec.Command(hello)
	run.Env = append(os.Environ(), "BOXLITE_HOME="+t.TempDir())
	run.Stderr = os.Stderr
	out, err := run.Output()
	if err != nil || string(out) != "hello from a box\n" {
		t.Errorf("got %q, %v", out, err)
	}
}
