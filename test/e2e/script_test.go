package e2e

import (
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

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
	for began := time.Now(); time.Since(began) < patience; {
		if ts.Exec(args[1], args[2:]...) == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		<-tick.C
	}
	describeBoxes(ts)
	ts.Fatalf("no output matches %s", args[0])
}

// describeBoxes logs what may tell why a box does not do what it should: which there are,
// what runs in them, and whether their clocks go on.
func describeBoxes(ts *testscript.TestScript) {
	if ts.Exec("boxlite", "ls", "-a") != nil || ts.Exec("boxlite", "ls", "-q") != nil {
		return // it says why
	}
	const state = "ps; cat /proc/uptime; sleep 1; cat /proc/uptime /proc/loadavg"
	for id := range strings.FieldsSeq(ts.ReadFile("stdout")) {
		if err := ts.Exec("boxlite", "exec", "--timeout", "1m", id, "sh", "-c", state); err != nil {
			ts.Logf("%s: %v", id, err)
		}
	}
}

// scriptOutputEnv sets a variable to what the last command printed: outputenv NAME
func scriptOutputEnv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: outputenv NAME")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}
