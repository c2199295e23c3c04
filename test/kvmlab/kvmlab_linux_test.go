package kvmlab

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// limit is for one job, on a busy host.
const limit = 30 * time.Minute

// run does a job, and returns what its command wrote.
func run(t *testing.T, job Job) (status int, stdout, stderr string) {
	t.Helper()
	if testing.Short() {
		t.Skip("emulates a machine, and -short is set")
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var out, complaints bytes.Buffer
	job.Stdout, job.Stderr = &out, &complaints
	status, err := Run(ctx, job)
	if err != nil {
		t.Fatalf("%v\nhint: %s\n%s%s", err, protocol.HintOf(err), out.String(), complaints.String())
	}
	return status, out.String(), complaints.String()
}

// build builds a program, or a package's tests, for the lab.
func build(t *testing.T, words ...string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds programs for the lab, and -short is set")
	}
	path := filepath.Join(t.TempDir(), "program")
	at := len(words) - 1
	args := append(append([]string{}, words[:at]...), "-tags", "grpcnotrace", "-o", path, words[at])
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return path
}

func TestJob(t *testing.T) {
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "a", "b", "file"), []byte("from the host"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	out := filepath.Join(t.TempDir(), "out")
	big := bytes.Repeat([]byte("0123456789abcde\n"), 1<<16)
	started := time.Now()
	status, stdout, stderr := run(t, Job{
		Command: []string{"sh", "-c", `cat "$1"; echo "$WORD"; echo bad >&2
			mkdir out/sub; yes 0123456789abcde | head -c 1048576 >out/sub/big
			date +%s >out/time; sleep 1000 & exit 7`, "sh", "folder/a/b/file"},
		Files:   map[string]string{"folder": folder},
		Env:     []string{"WORD=it's $HOME"},
		Out:     out,
		Emulate: true,
	})
	if status != 7 || stdout != "from the hostit's $HOME\n" || stderr != "bad\n" {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
	if got, err := os.ReadFile(filepath.Join(out, "sub", "big")); err != nil || !bytes.Equal(got, big) {
		t.Errorf("what the job left differs: %d bytes, %v", len(got), err)
	}
	text, err := os.ReadFile(filepath.Join(out, "time"))
	if err != nil {
		t.Fatal(err)
	}
	clock, err := time.ParseDuration(strings.TrimSpace(string(text)) + "s")
	if there := time.Unix(int64(clock.Seconds()), 0); err != nil || there.Before(started.Add(-5*time.Second)) ||
		there.After(time.Now().Add(5*time.Second)) {
		t.Errorf("it is %v in the lab, not %v: %v", there, started, err)
	}
	expectEmpty(t, os.TempDir())
}

// TestEndLeavesNothing: not even the machine is left when the context ends.
func TestEndLeavesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("emulates a machine, and -short is set")
	}
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	_, err := Run(ctx, Job{
		Command: []string{"sh", "-c", "echo started; sleep 1000"},
		Stdout:  writerFunc(func() { cancel() }),
		Emulate: true,
	})
	if !strings.Contains(errText(err), context.Canceled.Error()) {
		t.Errorf("error %v, want that of the context", err)
	}
	expectEmpty(t, os.TempDir())
	children, err := os.ReadFile("/proc/thread-self/children")
	if err == nil && len(children) > 0 {
		t.Errorf("processes are left: %s", children)
	}
}

type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) { f(); return len(p), nil }

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func expectEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestMissingPackages: whoever lacks something learns what to install.
func TestMissingPackages(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Run(t.Context(), Job{Command: []string{"true"}, Emulate: true})
	if hint := protocol.HintOf(err); !strings.HasPrefix(hint, "sudo apt-get install") || !strings.Contains(hint, "qemu-system-x86") {
		t.Errorf("%v, hint %q", err, hint)
	}
}

// TestBoxOnKVM: a box runs on real KVM, and BoxLite knows that it does.
func TestBoxOnKVM(t *testing.T) {
	out := t.TempDir()
	status, stdout, stderr := run(t, Job{
		Command: []string{"sh", "-e", "-c", `export BOXLITE_HOME="$PWD/home"
			./boxlite info --format json >out/info.json
			./boxlite doctor >&2
			./boxlite run --rm boxlite/base echo hello`},
		Files: map[string]string{"boxlite": build(t, "build", "-buildvcs=false", "-ldflags=-s -w", "../../cmd/boxlite")},
		Out:   out,
	})
	if status != 0 || stdout != "hello\n" {
		t.Errorf("status %d, output %q", status, stdout)
	}
	t.Log(stderr)
	content, err := os.ReadFile(filepath.Join(out, "info.json"))
	if err != nil {
		t.Fatal(err)
	}
	var info boxlite.RuntimeInfo
	if err := json.Unmarshal(content, &info); err != nil {
		t.Fatal(err)
	}
	if info.Engine != "kvm" || info.Accelerator != "kvm" || info.Isolation.Machine != "hardware VM" {
		t.Errorf("accelerator %q, isolation %+v", info.Accelerator, info.Isolation)
	}
}

// TestPackages repeats the tests of packages that need KVM where there is one.
func TestPackages(t *testing.T) {
	files := map[string]string{}
	script := "status=0\n"
	for _, dir := range kvmPackages(t) {
		name := strings.ReplaceAll(strings.TrimPrefix(dir, "internal/vmm/"), "/", "-")
		files["tests/"+name+"/package.test"] = build(t, "test", "-c", "../../"+dir)
		if testdata := "../../" + dir + "/testdata"; exists(testdata) {
			files["tests/"+name+"/testdata"] = testdata
		}
		// One of kvmprobe's needs an assembler.
		script += "(cd tests/" + name + " && ./package.test -test.v -test.skip GuestCode) || { status=1; echo FAILED " + name + "; }\n"
	}
	status, stdout, stderr := run(t, Job{Command: []string{"sh", "-c", script + "exit $status"}, Files: files})
	report(t, stdout)
	if status != 0 {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
}

// kvmPackages are the folders of packages that have to do with KVM, and have tests.
func kvmPackages(t *testing.T) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-buildvcs=false", "-tags", "grpcnotrace",
		"-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}",
		"../../internal/vmm/kvmprobe", "../../internal/vmm/engines", "../../internal/vmm/kvm/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for path := range strings.FieldsSeq(string(out)) {
		dirs = append(dirs, strings.TrimPrefix(path, "github.com/boxlite-go/boxlite/"))
	}
	return dirs
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestEndToEnd repeats the end-to-end tests, as they are, with our own VMM.
func TestEndToEnd(t *testing.T) {
	files := map[string]string{
		"boxlite":  build(t, "build", "-buildvcs=false", "-ldflags=-s -w", "../../cmd/boxlite"),
		"e2e.test": build(t, "test", "-c", "../e2e"), "testdata": "../e2e/testdata", "waits.sh": "waits.sh",
	}
	for _, name := range []string{"leaver", "panicky", "silent"} {
		files["agents/"+name] = build(t, "build", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-gcflags=all=-l", "../e2e/testdata/agents/"+name)
	}
	for name, choose := range map[string]string{
		"scripts": `-test.run '^TestScripts$' -test.skip '` + scriptsNotInLab + `'`,
		"others":  `-test.skip '^TestScripts$|` + testsNotInLab + `'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, stdout, stderr := run(t, Job{
				Command: []string{"sh", "-c", `BOXLITE_TEST_PROGRAM="$LAB/boxlite" BOXLITE_TEST_AGENTS="$LAB/agents" exec ./waits.sh 1560 ./e2e.test -test.v -test.parallel 2 -test.timeout 28m ` + choose},
				Env:     []string{"BOXLITE_TEST_ENGINE=kvm"},
				Files:   files, MemoryMiB: 4096,
			})
			report(t, stdout)
			if status != 0 {
				t.Errorf("status %d\n%s%s", status, stdout, stderr)
			}
		})
	}
}

// What needs more than the lab has: a Go toolchain, or Debian's mirrors.
const (
	scriptsNotInLab = "TestScripts/(registry|python)$"
	testsNotInLab   = "Readme|Hello"
)

var resultLine = regexp.MustCompile(`(?m)^ *--- (PASS|FAIL|SKIP): (\S+)`)

// report repeats the results of tests that ran elsewhere as those of subtests.
func report(t *testing.T, output string) {
	t.Helper()
	for _, match := range resultLine.FindAllStringSubmatch(output, -1) {
		t.Run(match[2], func(t *testing.T) {
			switch match[1] {
			case "FAIL":
				t.Fail()
			case "SKIP":
				t.Skip("skipped there")
			}
		})
	}
}
