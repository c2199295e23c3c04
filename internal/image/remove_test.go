package image

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

func TestRemove(t *testing.T) {
	host := startRegistry(t)
	shared := tarOf(t, "shared", "x")
	one, two := imageOf(t, shared, tarOf(t, "v", "1")), imageOf(t, shared, tarOf(t, "v", "2"))
	push(t, one, host+"/one:a")
	push(t, one, host+"/one:b")
	push(t, two, host+"/two")
	s := openStore(t, Options{})
	first := mustPull(t, s, host+"/one:a")
	mustPull(t, s, host+"/one:b")
	second := mustPull(t, s, host+"/two")
	contentOf(t, s, first, "/v")
	contentOf(t, s, second, "/v")
	id := func(i Image) string { return "deleted: " + i.ID }

	remove := func(ref string, inUse func(string) bool, want ...string) {
		t.Helper()
		got, err := s.Remove(t.Context(), ref, inUse)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Remove(%s) (-want +got):\n%s", ref, diff)
		}
	}
	// One of two names.
	remove(host+"/one:a", nobody, "untagged: "+host+"/one:a")
	if v := contentOf(t, s, first, "/v"); v != "1" {
		t.Errorf("/v is %q", v)
	}
	// The last name of an image that a box uses.
	remove(host+"/one:b", func(d string) bool { return d == first.Digest }, "untagged: "+host+"/one:b")
	if got, err := s.Get(t.Context(), first.ID); err != nil || got.Reference != "" {
		t.Errorf("the used image: %+v, %v", got, err)
	}
	if !exists(s.diskPath(digest.Digest(first.Digest))) || len(files(t, s, disksDir)) != 2 {
		t.Errorf("the disks are %q", files(t, s, disksDir))
	}
	// The image itself. What it shares with another stays.
	remove(first.ID[7:19], nobody, id(first))
	if v := contentOf(t, s, second, "/v"); v != "2" || len(files(t, s, disksDir)) != 1 {
		t.Errorf("/v is %q, and the disks are %q", v, files(t, s, disksDir))
	}
	if n := len(files(t, s, blobsDir)); n != 4 {
		t.Errorf("there are %d blobs, want a manifest, a configuration and two layers", n)
	}
	remove(host+"/two", nobody, "untagged: "+host+"/two:latest", id(second))
	if blobs, disks := files(t, s, blobsDir), files(t, s, disksDir); len(blobs)+len(disks) > 0 {
		t.Errorf("there are still %q and %q", blobs, disks)
	}
	_, err := s.Remove(t.Context(), host+"/two", nobody)
	wantError(t, err, protocol.KindNotFound, "no such image", "boxlite images")
	wantClean(t, s)
}

func TestPrune(t *testing.T) {
	host := startRegistry(t)
	push(t, imageOf(t, tarOf(t, "v", noise(100_000))), host+"/app")
	s := openStore(t, Options{})
	old := mustPull(t, s, host+"/app")
	contentOf(t, s, old, "/v")
	push(t, imageOf(t, tarOf(t, "v", "2")), host+"/app")
	current := mustPull(t, s, host+"/app")
	contentOf(t, s, current, "/v")

	// The old image has no name any more, but a box uses it.
	freed, err := s.Prune(t.Context(), func(d string) bool { return d == old.Digest })
	if err != nil || freed != 0 {
		t.Errorf("freed %d, %v", freed, err)
	}
	contentOf(t, s, old, "/v")
	// Now it does not.
	freed, err = s.Prune(t.Context(), nobody)
	if err != nil || freed < 200_000 {
		t.Errorf("freed %d, %v, want the layer and the disk", freed, err)
	}
	if images, err := s.List(t.Context()); err != nil || len(images) != 1 || images[0].Digest != current.Digest {
		t.Errorf("images: %+v, %v", images, err)
	}
	contentOf(t, s, current, "/v")
	_, err = s.Disk(t.Context(), old, nil)
	wantError(t, err, protocol.KindNotFound, "no longer in the store", "pull the image again")

	// A box may outlive its image.
	if err := os.WriteFile(s.diskPath(digest.Digest(old.Digest)), []byte("disk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if freed, err := s.Prune(t.Context(), func(d string) bool { return d == old.Digest }); err != nil || freed != 0 {
		t.Errorf("freed %d, %v", freed, err)
	}
	if freed, err := s.Prune(t.Context(), nobody); err != nil || freed == 0 {
		t.Errorf("freed %d, %v", freed, err)
	}
}
