package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/test/script"
)

// program is the boxlite command: the one that BOXLITE_TEST_PROGRAM names, or one
// that is built for these tests.
var program = os.Getenv("BOXLITE_TEST_PROGRAM")

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	if program != "" {
		return m.Run()
	}
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
// skipped would pass where nothing works. Only -short leaves machines out. It returns what
// there is.
func needMachine(t *testing.T) boxlite.RuntimeInfo {
	t.Helper()
	if testing.Short() {
		t.Skip("starts virtual machines, and -short is set")
	}
	out, err := ask("--home", t.TempDir(), "info", "--format", "json")
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
	// Tests of one engine must not pass with another.
	if want := os.Getenv("BOXLITE_TEST_ENGINE"); want != "" && info.Engine != want {
		t.Fatalf("the engine is %q, not %q: %s", info.Engine, want, info.Note)
	}
	return info
}

// patience is what one command gets on a busy host. Then it is asked what it waits for:
// with SIGQUIT, Go's runtime tells.
const patience = 5 * time.Minute

// ask runs the command and returns what it prints.
func ask(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stderr = &complaints
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%v: %w\n%s%s", args, err, out, complaints.Bytes())
	}
	return out, err
}

func TestScripts(t *testing.T) {
	needMachine(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(program)+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("PROGRAM", program)
			env.Setenv("BOXLITE_HOME", env.WorkDir+"/home")
			env.Defer(func() {
				if _, err := ask("--home", env.WorkDir+"/home", "rm", "--all", "--force"); err != nil {
					t.Error("clean up: ", err)
				}
			})
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": script.Code, "until": scriptUntil, "outputenv": scriptOutputEnv,
			"get": scriptGet, "listen": scriptListen, "published": scriptPublished,
			"registry": scriptRegistry, "debian": scriptDebian, "busybox": scriptBusybox,
		},
	})
}
