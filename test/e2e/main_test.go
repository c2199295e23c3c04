package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

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
	return info
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
				cmd := exec.Command(program, "--home", env.WorkDir+"/home", "rm", "--all", "--force")
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("clean up: %v\n%s", err, out)
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
