package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/boxlite-go/boxlite/test/script"
)

// The scripts run this program as boxlite. None of them starts a machine: those
// that do are in test/e2e.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"boxlite": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("BOXLITE_HOME", env.WorkDir+"/home")
			env.Setenv("INHERITED", "yes")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": script.Code, "damage": scriptDamage,
		},
	})
}

// scriptDamage cuts a file of the folder that another file names: damage
// FILE-WITH-DIR NAME.
func scriptDamage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: damage FILE-WITH-DIR NAME")
	}
	dir := strings.TrimSpace(ts.ReadFile(args[0]))
	ts.Check(os.Truncate(filepath.Join(dir, args[1]), 5))
}
