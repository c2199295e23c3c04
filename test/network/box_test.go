//go:build linux

package network

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"slices"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/test/leak"
)

var discard = log.New(io.Discard, "", 0)

// openRuntime opens a home of its own. When the test has ended, nothing may be left of
// its boxes.
func openRuntime(t *testing.T) *boxlite.Runtime {
	t.Helper()
	needWorld(t)
	return openHome(t, t.TempDir())
}

// openHome opens a home that may have boxes already.
func openHome(t *testing.T, home string) *boxlite.Runtime {
	t.Helper()
	rt, err := boxlite.Open(boxlite.Options{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		left, err := leak.Place{Home: home}.Processes(ctx)
		if err != nil || len(left) > 0 {
			t.Errorf("left: %s, %v", strings.Join(left, "\n"), err)
		}
	})
	return rt
}

// newBox makes a box, and starts it.
func newBox(t *testing.T, rt *boxlite.Runtime, spec boxlite.BoxSpec) *boxlite.Box {
	t.Helper()
	box, err := rt.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	removeAtEnd(t, rt, box)
	if err := box.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return box
}

func removeAtEnd(t *testing.T, rt *boxlite.Runtime, box *boxlite.Box) {
	t.Cleanup(func() {
		err := rt.Remove(context.Background(), box.ID(), true)
		if err != nil && !errors.Is(err, boxlite.ErrNotFound) {
			t.Error(err)
		}
	})
}

// run runs a shell script in the box, and returns what it wrote.
func run(t *testing.T, box *boxlite.Box, script string) string {
	t.Helper()
	out, err := box.Command("sh", "-c", script).CombinedOutput(t.Context())
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// fails runs a shell script that must fail, and returns what it wrote.
func fails(t *testing.T, box *boxlite.Box, script string) string {
	t.Helper()
	out, err := box.Command("sh", "-c", script).CombinedOutput(t.Context())
	if err == nil {
		t.Errorf("%s: did not fail\n%s", script, out)
	} else if !errors.Is(err, boxlite.ErrExecution) {
		if _, ok := errors.AsType[*boxlite.ExitError](err); !ok {
			t.Errorf("%s: %v", script, err)
		}
	}
	return string(out)
}

// attempt is what the client in the box tells of something that it tried.
type attempt struct {
	Name   string `json:"name"`
	Done   bool   `json:"done"`
	Detail string `json:"detail"`
}

// install copies a program of testdata into the box.
func install(t *testing.T, box *boxlite.Box, name string) {
	t.Helper()
	if err := box.CopyIn(t.Context(), build(t, name), "/usr/bin/"+name, boxlite.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
}

// try has the client in the box try something: a group of attempts, or one.
func try(t *testing.T, box *boxlite.Box, args ...string) []attempt {
	t.Helper()
	c := box.Command("hostile", args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output(t.Context())
	if err != nil {
		t.Fatalf("hostile %q: %v\n%s%s", args, err, out, &stderr)
	}
	var all []attempt
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var a attempt
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatalf("%q: %v", lines.Bytes(), err)
		}
		all = append(all, a)
	}
	if len(all) == 0 {
		t.Fatalf("hostile %q tried nothing", args)
	}
	return all
}

// denials returns what the box has been refused, as "kind name-or-address rule".
func denials(t *testing.T, rt *boxlite.Runtime, box *boxlite.Box) []string {
	t.Helper()
	var all []string
	for e, err := range rt.Events(t.Context(), boxlite.EventOptions{Boxes: []string{box.ID()}, Types: []boxlite.EventType{boxlite.EventDenied}}) {
		if err != nil {
			t.Fatal(err)
		}
		d := e.Denial
		all = append(all, fmt.Sprintf("%s %s %s %s %s", d.Kind, d.Protocol, d.Name, d.Address, d.Rule))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// mustDeny wants a denial that holds all the words, for each list of words.
func mustDeny(t *testing.T, rt *boxlite.Runtime, box *boxlite.Box, wants ...string) {
	t.Helper()
	all := denials(t, rt, box)
	for _, want := range wants {
		if !slices.ContainsFunc(all, func(d string) bool {
			return !slices.ContainsFunc(strings.Fields(want), func(word string) bool { return !strings.Contains(d, word) })
		}) {
			t.Errorf("no denial of %q", want)
		}
	}
	if t.Failed() {
		t.Logf("denied:\n%s", strings.Join(all, "\n"))
	}
}
