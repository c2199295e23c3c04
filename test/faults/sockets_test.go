package faults

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/test/damage"
)

// TestRunningBoxLosesFiles removes or spoils the files by which a running box is
// found (matchlock#75: "vsock.sock: connection refused", with no cause). It is still
// said to run, can be stopped and removed, and keeps what was written.
func TestRunningBoxLosesFiles(t *testing.T) {
	cases := map[string][]string{
		"shim.sock removed":                {"shim.sock"},
		"portal.sock removed":              {"portal.sock"},
		"both sockets removed":             {"shim.sock", "portal.sock"},
		"portal.sock and identity removed": {"portal.sock", "shim.json"},
	}
	for _, way := range slices.Sorted(maps.Keys(damage.Ways)) {
		cases["shim.json "+way] = nil
	}
	for name, gone := range cases {
		for _, force := range []bool{false, true} {
			if force && gone == nil {
				continue
			}
			test := name + ", then stopped"
			if force {
				test = name + ", then removed"
			}
			t.Run(test, func(t *testing.T) {
				t.Parallel()
				home := newHome(t)
				first := openHome(t, home)
				box := getBox(t, first, "kept")
				if err := write(patience(t), box, "1"); err != nil {
					t.Fatal(err)
				}
				for _, file := range gone {
					if err := os.Remove(filepath.Join(boxDir(t, home), file)); err != nil {
						t.Fatal(err)
					}
				}
				if way, ok := strings.CutPrefix(name, "shim.json "); ok && gone == nil {
					if err := damage.Ways[way](filepath.Join(boxDir(t, home), "shim.json")); err != nil {
						t.Fatal(err)
					}
				}
				rt := openHome(t, home) // which has no connection yet
				same := getBox(t, rt, "kept")
				if info, err := same.Info(t.Context()); err != nil || info.Status != boxlite.StatusRunning {
					t.Errorf("got %s, %v", info.Status, err)
				}
				if err := same.Command("true").Run(patience(t)); err != nil && boxlite.HintOf(err) == "" {
					t.Errorf("a command: %v has no hint", err)
				}
				if force {
					if err := rt.Remove(patience(t), "kept", true); err != nil {
						t.Error(err)
					}
					if _, err := rt.Get(t.Context(), "kept"); !errors.Is(err, boxlite.ErrNotFound) {
						t.Errorf("got %v", err)
					}
				} else {
					if err := same.Stop(patience(t)); err != nil {
						t.Error(err)
					}
					if out, err := same.Command("cat", "/root/1").Output(patience(t)); err != nil || string(out) != "1\n" {
						t.Errorf("got %q, %v", out, err)
					}
					if err := same.Stop(context.Background()); err != nil {
						t.Error(err)
					}
				}
				if err := first.Close(); err != nil {
					t.Error(err)
				}
				nothingLeft(t, rt, home)
			})
		}
	}
}
