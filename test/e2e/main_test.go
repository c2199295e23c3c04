package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/boxlite-go/boxlite"
)

// program is the boxlite command, built for these tests.
var program string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "boxlite-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "boxlite")
	build := exec.Command("go", "build", "-buildvcs=false", "-tags", "grpcnotrace", "-o", program, "github.com/boxlite-go/boxlite/cmd/boxlite")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// needMachine fails a test on a host where no box can be started: one that is
// skipped would pass where nothing works. Only -short leaves machines out.
func needMachine(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts virtual machines, and -short is set")
	}
	cmd := exec.Command(program, "info", "--format", "json")
	cmd.Env = append(os.Environ(), "BOXLITE_HOME="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var info boxlite.RuntimeInfo
	if err := json.Unmarshal(out, &info); err != nil {
		t.Fatal(err)
	}
	if info.Error != "" {
		t.Fatal("no engine works on this host: ", info.Error)
	}
}

func TestScripts(t *testing.T) {
	needMachine(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(program)+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("BOXLITE_HOME", env.WorkDir+"/home")
			env.Defer(func() {
				cmd := exec.Command(program, "--home", env.WorkDir+"/home", "rm", "--all", "--force")
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("clean up: %v\n%s", err, out)
				}
			})
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": scriptCode, "until": scriptUntil},
	})
}

// scriptCode runs a command and compares its exit code: code N COMMAND ARG...
func scriptCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// scriptUntil runs a command again and again until its output has a match: until
// PATTERN COMMAND ARG...
func scriptUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN COMMAND ARG...")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 2000 {
		if ts.Exec(args[1], args[2:]...) == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		<-tick.C
	}
	ts.Fatalf("no output matches %s", args[0])
}
