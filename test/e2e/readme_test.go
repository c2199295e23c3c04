package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// readme returns the first block of a language in the README.
func readme(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```"+language+"\n")
	block, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatalf("the README has no block of %s", language)
	}
	return block
}

// TestReadmeSession types what the README's first screen shows, but for make run,
// which installs and builds.
func TestReadmeSession(t *testing.T) {
	needMachine(t)
	t.Parallel()
	home := t.TempDir()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(dir, "bin/boxlite")); err != nil {
		t.Fatal(err)
	}
	command := func(script string) string {
		t.Helper()
		cmd := exec.Command("sh", "-ec", script)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "BOXLITE_HOME="+home)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: %v", script, err)
		}
		return string(out)
	}
	defer command("bin/boxlite rm --all --force")
	var last string
	for line := range strings.Lines(readme(t, "console")) {
		if typed, ok := strings.CutPrefix(line, "$ "); ok && !strings.HasPrefix(typed, "make ") {
			last = command(typed)
		}
	}
	if last != "hello\n" {
		t.Errorf("the last command printed %q", last)
	}
}

// TestReadmeProgram runs the README's Go program.
func TestReadmeProgram(t *testing.T) {
	needMachine(t)
	t.Parallel()
	dir, err := os.MkdirTemp("testdata", "readme-") // in the module, for the import
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(readme(t, "go")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := runProgram(t, "./"+dir); !strings.HasPrefix(out, "Linux ") {
		t.Errorf("it printed %q", out)
	}
}

// TestHello runs the example of the README's first screen.
func TestHello(t *testing.T) {
	needMachine(t)
	t.Parallel()
	if out := runProgram(t, "../../examples/hello"); out != "hello from a box\n" {
		t.Errorf("it printed %q", out)
	}
}

// runProgram builds a program with nothing but go build, runs it with a home of
// its own and returns what it printed.
func runProgram(t *testing.T, pkg string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", file, pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	run := exec.Command(file)
	run.Env = append(os.Environ(), "BOXLITE_HOME="+t.TempDir())
	run.Stderr = os.Stderr
	out, err := run.Output()
	if err != nil {
		t.Error(err)
	}
	return string(out)
}
