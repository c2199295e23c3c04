package faults

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/test/leak"
)

// TestKilledWhileABoxIsMade kills a creator while it creates or removes a box,
// which then is there as a whole or not at all.
func TestKilledWhileABoxIsMade(t *testing.T) {
	for _, c := range []struct {
		stage string
		steps []string
		there bool
	}{
		{"create/folder", []string{"create"}, false},
		{"create/config", []string{"create"}, false},
		{"create/written", []string{"create"}, false},
		{"create/named", []string{"create"}, true},
		{"remove/asked", []string{"create", "remove"}, true},
		{"remove/renamed", []string{"create", "remove"}, false},
	} {
		t.Run(c.stage, func(t *testing.T) {
			t.Parallel()
			home := newHome(t)
			hit(t, home, c.stage, append([]string{"attached", "new"}, c.steps...)...)
			rt := openHome(t, home)
			if _, err := rt.Get(t.Context(), "new"); c.there != (err == nil) || err != nil && !errors.Is(err, boxlite.ErrNotFound) {
				t.Errorf("is it there, as %t is right? %v", c.there, err)
			}
			list, err := rt.List(t.Context())
			if err != nil || slices.ContainsFunc(list, func(b boxlite.BoxInfo) bool { return b.Error != "" }) {
				t.Errorf("got %+v, %v", list, err)
			}
			if _, _, err := rt.GetOrCreate(t.Context(), boxlite.BoxSpec{Name: "new"}); err != nil {
				t.Error(err)
			}
			nothingLeft(t, rt, home)
		})
	}
}

// TestKilledWhileAnImageIsMade kills a creator while it imports an image. What it
// left is removed or used by the next one, and never taken for an image.
func TestKilledWhileAnImageIsMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rootfs.tar")
	if err := os.WriteFile(path, smallTar("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	ref := "rootfs:" + path
	for stage, there := range map[string]bool{"pull/blob": false, "pull/index": false, "pull/disk": true} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			home := newHome(t)
			hit(t, home, stage, "attached", "none", "import "+ref)
			rt := openHome(t, home)
			if _, err := rt.Images().Get(t.Context(), ref); there != (err == nil) {
				t.Errorf("is it there, as %t is right? %v", there, err)
			}
			if _, err := rt.Images().Pull(t.Context(), ref, boxlite.PullOptions{}); err != nil {
				t.Error(err)
			}
			nothingLeft(t, rt, home)
		})
	}
}

// TestKilledBeforeItAttached kills who started a detached box so as to attach to its
// main process, before that process has begun: it begins all the same.
func TestKilledBeforeItAttached(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	hit(t, home, "start/box-ready", "detached", "job", "create-job true", "attach")
	rt := openHome(t, home)
	exit, err := getBox(t, rt, "job").Wait(patience(t))
	if err != nil || exit.Reason != "exited" || exit.Code != 0 {
		t.Errorf("got %+v, %v", exit, err)
	}
}

// hit kills a creator at a stage.
func hit(t *testing.T, home, stage string, args ...string) {
	t.Helper()
	l := listen(t, stage)
	c := startCreator(t, home, l, args...)
	h := l.await(t, c)
	c.kill()
	h.release()
}

// nothingLeft closes the Runtime, and checks that nothing runs in its home nor is
// half made.
func nothingLeft(t *testing.T, rt *boxlite.Runtime, home string) {
	t.Helper()
	list, err := rt.List(context.Background())
	if err != nil {
		t.Error(err)
	}
	place := leak.Place{Home: home, Tmp: filepath.Join(filepath.Dir(home), "tmp")}
	for _, info := range list {
		place.Boxes = append(place.Boxes, info.ID)
	}
	if err := rt.Close(); err != nil {
		t.Error(err)
	}
	if left, err := place.All(patience(t)); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %s", err, strings.Join(left, "\n"))
	}
}

// smallTar is a root file system with one file.
func smallTar(text string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b) // which can't fail, as b can't
	_ = w.WriteHeader(&tar.Header{Name: "file", Size: int64(len(text)), Mode: 0o644})
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}
