package image

import (
	"os"
	"slices"
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/test/damage"
	"github.com/opencontainers/go-digest"
)

// The index is made again from its copy; without that, from what is there, but for
// the names.
func TestDamagedIndex(t *testing.T) {
	for name, spoil := range damage.Ways {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, Options{})
			image := mustPull(t, s, "rootfs:"+writeTemp(t, tarOf(t, "a", "x")))
			if err := spoil(s.path(indexFile)); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Get(t.Context(), image.Reference); err != nil || got.Digest != image.Digest {
				t.Errorf("got %+v, %v", got, err)
			}
			if err := spoil(s.path(spareFile)); err != nil {
				t.Fatal(err)
			}
			if name != "removed" { // or it is a new store
				if got, err := s.Get(t.Context(), image.Digest); err != nil || got.ID != image.ID || got.Size != image.Size || got.Platform != image.Platform {
					t.Errorf("got %+v, %v", got, err)
				}
			}
			again, err := Open(s.dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if name != "removed" {
				if _, err := again.readIndexFile(indexFile); err != nil {
					t.Errorf("it is not repaired: %v", err)
				}
			}
			if got := mustPull(t, again, image.Reference); contentOf(t, again, got, "/a") != "x" || got.Digest != image.Digest {
				t.Errorf("got %+v", got)
			}
			wantClean(t, again)
		})
	}
}

func TestIndexOfALaterVersion(t *testing.T) {
	path := "rootfs:" + writeTemp(t, tarOf(t, "a", "x"))
	s := openStore(t, Options{})
	mustPull(t, s, path)
	if err := os.WriteFile(s.path(indexFile), []byte(`{"version": 2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := s.List(t.Context())
	wantError(t, err, protocol.KindUnsupported, "version 2", "newer")
	_, err = s.Pull(t.Context(), path, PullOptions{})
	wantError(t, err, protocol.KindUnsupported, "version 2", "newer")
	_, err = s.Prune(t.Context(), nobody)
	wantError(t, err, protocol.KindUnsupported, "version 2", "newer")
}

// A blob that was damaged after it came is noticed before anything is made of it,
// and fetching the image again repairs it.
func TestDamagedBlobs(t *testing.T) {
	host := startRegistry(t)
	layers := [][]byte{tarOf(t, "a", noise(100_000)), tarOf(t, "b", "small")}
	push(t, imageOf(t, layers...), host+"/app")
	for source, ref := range map[string]string{
		"pulled": host + "/app", "imported": "rootfs:" + writeTemp(t, layers[0]),
		"imported, compressed": "rootfs:" + writeTemp(t, gzipped(t, layers[0])),
	} {
		for name, spoil := range damage.Ways {
			t.Run(source+" "+name, func(t *testing.T) {
				s := openStore(t, Options{Network: quick})
				image := mustPull(t, s, ref)
				for _, blob := range files(t, s, blobsDir) {
					d := digest.NewDigestFromEncoded(digest.SHA256, blob)
					if err := spoil(s.blobPath(d)); err != nil {
						t.Fatal(err)
					}
					if path, err := s.Disk(t.Context(), image, nil); err == nil {
						t.Errorf("%s: the disk %s was made of it", d, path)
					} else if err != nil && protocol.HintOf(err) == "" {
						t.Errorf("%s: %v has no hint", d, err)
					}
					if err := os.RemoveAll(s.diskPath(digest.Digest(image.Digest))); err != nil {
						t.Fatal(err)
					}
					if got := mustPull(t, s, ref); got.Digest != image.Digest {
						t.Errorf("%s: got %+v", d, got)
					}
					if contentOf(t, s, image, "/a") != noise(100_000) {
						t.Errorf("%s: the content is another one", d)
					}
					if err := os.Remove(s.diskPath(digest.Digest(image.Digest))); err != nil {
						t.Fatal(err)
					}
				}
				wantClean(t, s)
			})
		}
	}
}

// A disk that was changed is made again.
func TestDamagedDisk(t *testing.T) {
	for name, spoil := range damage.Ways {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, Options{})
			image := mustPull(t, s, "rootfs:"+writeTemp(t, tarOf(t, "a", "x")))
			contentOf(t, s, image, "/a") // makes it
			if err := spoil(s.diskPath(digest.Digest(image.Digest))); err != nil {
				t.Fatal(err)
			}
			if got := contentOf(t, s, image, "/a"); got != "x" {
				t.Errorf("got %q", got)
			}
			if disks := files(t, s, disksDir); !slices.Equal(disks, []string{digest.Digest(image.Digest).Encoded() + ".ext4"}) {
				t.Errorf("there are the disks %q", disks)
			}
		})
	}
}
