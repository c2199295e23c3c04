package boxlite

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/monitor"
)

// Jails and machines don't wait for what only the rest of the program needs. Go prints
// what it initialises, in order.
func TestStartsOfProcesses(t *testing.T) {
	late := []string{"google.golang.org/grpc", "gvisor.dev/gvisor/pkg/tcpip/stack", "github.com/boxlite-go/boxlite"}
	for _, name := range []string{jail.Name, monitor.Name} {
		begun := initialised(t, name)
		if !begun["runtime"] || !begun["os"] {
			t.Fatalf("%s: Go tells nothing of its packages: %v", name, begun)
		}
		for _, path := range late {
			if begun[path] {
				t.Errorf("%s waits for %s", name, path)
			}
		}
	}
	begun := initialised(t, "another", "-test.run=^$")
	for _, path := range late[:2] {
		if !begun[path] {
			t.Errorf("%s is not part of the program any more: find out what it does need", path)
		}
	}
}

// initialised returns the packages that this program initialises under another name.
func initialised(t *testing.T, name string, arguments ...string) map[string]bool {
	t.Helper()
	c := exec.Command(os.Args[0], arguments...)
	c.Args[0] = filepath.Join("bin", name)
	c.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	output, _ := c.CombinedOutput() // without their descriptors, jail and machine fail
	begun := make(map[string]bool)
	for line := range strings.Lines(string(output)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "init" {
			begun[words[1]] = true
		}
	}
	return begun
}
