package jail

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
)

// envHostile names the hostile program if it is built already.
const envHostile = "BOXLITE_TEST_HOSTILE"

// onlyLayer tells, of each attack, which layer alone holds it around a VMM. Attacks
// that aren't listed meet two layers or more. docs/security.md has the same list.
var onlyLayer = map[string]Layer{
	"make a socket":                 Seccomp,
	"make a netlink socket":         Seccomp,
	"listen on a TCP port":          Seccomp, // in a network of its own
	"call a forbidden system call":  Seccomp,
	"make an io_uring":              Seccomp,
	"open a performance counter":    Seccomp, // of itself
	"add a key":                     Seccomp, // for itself
	"raise a limit":                 Seccomp, // up to what rlimits leaves
	"open files without end":        Rlimits,
	"make a file too large":         Rlimits,
	"reserve addresses without end": Rlimits,
	"fill memory without end":       Cgroup,
}

// onlyLayerShim is the same around a shim, which is in no namespaces and no cgroup.
var onlyLayerShim = map[string]Layer{
	"read a system file":                   Landlock,
	"read the user's file":                 Landlock,
	"read another box's disk":              Landlock,
	"read another image":                   Landlock,
	"list the home":                        Landlock,
	"list processes":                       Landlock,
	"write to the user's file":             Landlock,
	"write to another box's disk":          Landlock,
	"make a file in /tmp":                  Landlock,
	"make a file in the root":              Landlock,
	"remove the user's file":               Landlock,
	"make a socket":                        Seccomp,
	"make a netlink socket":                Seccomp,
	"listen on a TCP port":                 Seccomp,
	"send to a UDP port of the host":       Seccomp,
	"connect to a Unix socket of the host": Seccomp,
	"change the user's file's mode":        Seccomp,
	"signal a host process":                Seccomp,
	"open a host process":                  Seccomp,
	"call a forbidden system call":         Seccomp,
	"make an io_uring":                     Seccomp,
	"open a performance counter":           Seccomp,
	"add a key":                            Seccomp,
	"raise a limit":                        Seccomp,
	"open files without end":               Rlimits,
	"make a file too large":                Rlimits,
	"reserve addresses without end":        Rlimits,
	"fill memory without end":              Rlimits,
}

// TestWhatOneLayerHoldsIsDocumented: whoever relies on a jail must know where one
// layer is all there is.
func TestWhatOneLayerHoldsIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	for attack, l := range onlyLayer {
		line := regexp.MustCompile(`(?m)^\| ` + attack + `[^|]*\| .` + string(l) + ". \\|$")
		if !line.Match(page) {
			t.Errorf("docs/security.md does not say that only %s holds: %s", l, attack)
		}
	}
}

// TestEscape runs a hostile program in a VMM's place: nothing that it tries succeeds,
// neither in the whole jail nor without any one layer, but for what only that layer
// holds.
func TestEscape(t *testing.T) {
	hostile := buildHostile(t)
	for _, role := range []Role{RoleQEMU, RoleVMM} {
		for _, without := range without(t) {
			t.Run(fmt.Sprintf("%s, %s", role, without.name), func(t *testing.T) {
				target := newTarget(t)
				task := target.task(role, without.plan)
				got := runHostile(t, hostile, without.plan, role, task)
				if without.plan.Has(Cgroup) {
					task.Only = []string{"fill memory without end"}
					got = append(got, runHostile(t, hostile, without.plan, role, task)...)
				}
				judge(t, got, without.missing, onlyLayer)
			})
		}
	}
}

// TestEscapeFromShim is the same for a hostile program that a shim has become.
func TestEscapeFromShim(t *testing.T) {
	hostile := buildHostile(t)
	for _, without := range without(t) {
		if slices.ContainsFunc(without.missing, func(l Layer) bool { return l == Namespaces || l == Cgroup }) && without.name != "whole" {
			continue // it has none
		}
		t.Run(without.name, func(t *testing.T) {
			target := newTarget(t)
			task := target.task(RoleShim, without.plan)
			task.Shim = &without.plan
			task.Limits.FileBytes = shimFile
			task.Limits.MemoryBytes = shimMemory
			got := runHostile(t, hostile, Plan{}, RoleQEMU, task)
			if without.plan.Has(Rlimits) {
				task.Only = []string{"fill memory without end"}
				got = append(got, runHostile(t, hostile, Plan{}, RoleQEMU, task)...)
			}
			judge(t, got, without.missing, onlyLayerShim)
		})
	}
}

// reachable is what a shim can do that serves a network, and no other.
var reachable = []string{
	"connect to a TCP port of the host", "send to a UDP port of the host", "listen on a TCP port",
}

// TestEscapeFromShimWithNetwork is the same for a shim that serves its box's network:
// it reaches what the host reaches over IP, and nothing else more.
func TestEscapeFromShimWithNetwork(t *testing.T) {
	hostile := buildHostile(t)
	for _, without := range without(t) {
		if slices.ContainsFunc(without.missing, func(l Layer) bool { return l == Namespaces || l == Cgroup }) && without.name != "whole" {
			continue // it has none
		}
		t.Run(without.name, func(t *testing.T) {
			target := newTarget(t)
			task := target.task(RoleShimNetwork, without.plan)
			task.Shim, task.Reach = &without.plan, Reach{Network: true}
			task.Limits.FileBytes = shimFile
			task.Limits.MemoryBytes = networkMemory
			got := runHostile(t, hostile, Plan{}, RoleQEMU, task)
			for _, name := range reachable {
				if !slices.Contains(got, name) {
					t.Errorf("%s: it can't, and needs to", name)
				}
			}
			got = slices.DeleteFunc(got, func(name string) bool { return slices.Contains(reachable, name) })
			judge(t, got, without.missing, onlyLayerShim)
		})
	}
}

// judge compares what succeeded with what may.
func judge(t *testing.T, got []string, missing []Layer, only map[string]Layer) {
	t.Helper()
	for _, name := range got {
		if l, ok := only[name]; !ok || !slices.Contains(missing, l) {
			t.Errorf("%s: it succeeded", name)
		}
	}
}

// variant is a jail of which layers are missing.
type variant struct {
	name    string
	plan    Plan
	missing []Layer
}

// without returns the whole jail that this host gives, and one without each layer.
func without(t *testing.T) []variant {
	t.Helper()
	s, err := Probe(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Enough(Default); err != nil {
		t.Fatal(err)
	}
	var missing []Layer
	for _, m := range s.Missing {
		t.Logf("this host does not give %s", m)
		missing = append(missing, m.Layer)
	}
	whole, err := s.Plan(Default, fmt.Sprintf("test%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	variants := []variant{{"whole", whole, missing}}
	for _, l := range whole.Layers {
		p := whole
		p.Layers = slices.DeleteFunc(slices.Clone(whole.Layers), func(other Layer) bool { return other == l })
		if l == Cgroup {
			p.Cgroups = nil
		}
		if l == Privileges && p.Has(Seccomp) {
			// Filters take no_new_privs, which is of this layer: root has both.
			if os.Geteuid() != 0 {
				continue
			}
		}
		variants = append(variants, variant{"without " + string(l), p, append(slices.Clone(missing), l)})
	}
	return variants
}

// forbidden returns the numbers of all system calls that a role must never make.
func forbidden(role Role) []uintptr {
	c, _ := roleCalls(role, 1)
	names := slices.Clone(c.always)
	for name := range c.rarely {
		names = append(names, name)
	}
	for _, only := range c.only {
		names = append(names, only.Name)
	}
	info, _ := arch.GetInfo("")
	var numbers []uintptr
	// The kernel lets these through whatever a filter says, and ends who calls them
	// from where it has not put the call itself.
	names = append(names, "uretprobe", "uprobe")
	for name, number := range info.SyscallNames {
		if !slices.Contains(names, name) {
			numbers = append(numbers, uintptr(number))
		}
	}
	slices.Sort(numbers)
	return numbers
}

// runHostile runs the program in a jail and returns which attacks succeeded.
func runHostile(t *testing.T, hostile string, p Plan, role Role, task task) []string {
	t.Helper()
	input, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	report, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer report.Close()
	disk, err := os.OpenFile(filepath.Join(task.Dir, "disk.img"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	var stderr bytes.Buffer
	c, err := p.Command(Process{
		Box: "test", Role: role, Program: hostile, Args: []string{string(input)},
		Files: []*os.File{theirs, disk}, Stderr: &stderr,
		Read: ProgramFiles(hostile), Devices: []string{os.DevNull, "/dev/urandom"}, Limits: task.Limits,
	})
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // the process dies with the thread
	defer runtime.UnlockOSThread()
	err = c.Start(t.Context())
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	output, err := io.ReadAll(report)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Wait()
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	if last := len(lines) - 1; lines[last] == "done" {
		return lines[:last]
	}
	if len(task.Only) == 0 {
		t.Fatalf("the hostile program ended with %v: %s\n%.2000s", err, output, stderr.String())
	}
	return nil // it did not survive
}

// buildHostile returns the hostile program.
func buildHostile(t *testing.T) string {
	t.Helper()
	if path := os.Getenv(envHostile); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "hostile")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", path, "./testdata/hostile")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for dir := filepath.Dir(path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		_ = os.Chmod(dir, 0o755) // for a jail without namespaces
	}
	return path
}
