package faults

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/test/damage"
)

// TestDamagedFiles spoils a file of a home. It costs that box at most its record,
// with a clear error; all others stay what they are
// (sbx-releases#353: the only cure was a full reset).
func TestDamagedFiles(t *testing.T) {
	for _, file := range []string{
		"boxes/*/config.json", "boxes/*/state.json", "boxes/*/exit.json",
		"images/index.json", "images/disks/*", "init/probe.json", "boxlite.lock", "logs/audit.jsonl",
	} {
		for _, way := range slices.Sorted(maps.Keys(damage.Ways)) {
			t.Run(filepath.Base(file)+" "+way, func(t *testing.T) {
				t.Parallel()
				home := newHome(t)
				spoilt, err := filepath.Glob(filepath.Join(home, file))
				if err != nil || len(spoilt) == 0 {
					t.Fatalf("%s: %q, %v", file, spoilt, err)
				}
				rt := openHome(t, home)
				if _, err := rt.Create(t.Context(), boxlite.BoxSpec{Name: "other"}); err != nil {
					t.Fatal(err)
				}
				if err := rt.Close(); err != nil {
					t.Fatal(err)
				}
				for _, path := range spoilt {
					if err := damage.Ways[way](path); err != nil {
						t.Fatal(err)
					}
				}
				rt, err = boxlite.Open(boxlite.Options{Home: home})
				if filepath.Base(file) == "boxlite.lock" {
					if err != nil && boxlite.HintOf(err) == "" {
						t.Errorf("%v has no hint", err)
					}
					if err != nil {
						if err := os.RemoveAll(spoilt[0]); err != nil {
							t.Fatal(err)
						}
						rt, err = boxlite.Open(boxlite.Options{Home: home})
					}
				}
				if err != nil {
					t.Fatal(err)
				}
				defer rt.Close()
				afterDamage(t, rt, filepath.Base(file) == "config.json")
				nothingLeft(t, rt, home)
			})
		}
	}
}

// afterDamage checks a home in which box "kept" may be damaged, and "other" is not.
func afterDamage(t *testing.T, rt *boxlite.Runtime, lost bool) {
	t.Helper()
	list, err := rt.List(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("got %+v, %v", list, err)
	}
	other := list[slices.IndexFunc(list, func(b boxlite.BoxInfo) bool { return b.Name == "other" })]
	if other.Status != boxlite.StatusConfigured || other.Error != "" {
		t.Errorf("the other box is %s: %s", other.Status, other.Error)
	}
	if img, err := rt.Images().Get(t.Context(), imported()); err != nil || img.Reference != imported() {
		t.Errorf("an image: %+v, %v", img, err)
	}
	if !lost {
		box := getBox(t, rt, "kept")
		if out, err := box.Command("cat", "/root/0").Output(patience(t)); err != nil || string(out) != "0\n" {
			t.Errorf("got %q, %v", out, err)
		}
		if err := box.Stop(patience(t)); err != nil {
			t.Error(err)
		}
		return
	}
	kept := list[slices.IndexFunc(list, func(b boxlite.BoxInfo) bool { return b.ID != other.ID })]
	if kept.Status != boxlite.StatusUnknown || kept.Error == "" || kept.Hint == "" {
		t.Errorf("the damaged box is %s: %q, hint %q", kept.Status, kept.Error, kept.Hint)
	}
	if _, err := rt.Get(t.Context(), kept.ID); err == nil || boxlite.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if err := rt.Remove(t.Context(), kept.ID, true); err != nil {
		t.Error(err)
	}
	if _, err := rt.Get(t.Context(), kept.ID); !errors.Is(err, boxlite.ErrNotFound) {
		t.Errorf("removed, it gives %v", err)
	}
}
