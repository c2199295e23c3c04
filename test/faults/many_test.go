package faults

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/boxlite-go/boxlite"
)

// TestManyStartsAtOnce starts 20 boxes of one home at the same time, from five
// processes (microsandbox#1041: half of concurrent boots failed; sandbox-sdk#794:
// 54 of 100).
func TestManyStartsAtOnce(t *testing.T) {
	const processes, boxes = 5, 20
	home := newHome(t)
	l := listen(t, "")
	var creators []*creator
	for i := range processes {
		args := []string{"detached", "none"}
		for j := range boxes / processes {
			args = append(args, fmt.Sprintf("run box-%d-%d", i, j))
		}
		creators = append(creators, startCreator(t, home, l, append(args, "all")...))
	}
	for _, c := range creators {
		if steps := c.finish(t); len(steps) != boxes/processes+1 {
			t.Errorf("it has only done %q: %s", steps, &c.output)
		}
	}
	rt := openHome(t, home)
	list, err := rt.List(t.Context())
	if err != nil || len(list) != boxes+1 {
		t.Fatalf("%d boxes, %v", len(list), err)
	}
	for _, info := range list {
		if info.Name != "kept" && info.Status != boxlite.StatusRunning {
			t.Errorf("%s is %s: %s", info.Name, info.Status, info.Error)
		}
	}
	removeAll(t, rt)
	nothingLeft(t, rt, home)
	if left, err := filepath.Glob(filepath.Join(home, "boxes", "[^.]*")); err != nil || len(left) != 0 {
		t.Errorf("left in the home: %q, %v", left, err)
	}
}
