package image

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestReferences(t *testing.T) {
	const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{
		"alpine":                          "docker.io/library/alpine:latest",
		"alpine:3.20":                     "docker.io/library/alpine:3.20",
		"team/app":                        "docker.io/team/app:latest",
		"docker.io/alpine":                "docker.io/library/alpine:latest",
		"ghcr.io/a/b/c:1":                 "ghcr.io/a/b/c:1",
		"localhost:5000/app":              "localhost:5000/app:latest",
		"alpine@" + digest:                "docker.io/library/alpine@" + digest,
		"oci:/a/b":                        "oci:/a/b",
		"oci:/a/b:tag":                    "oci:/a/b:tag",
		"oci:/a/b:example.com/app:1":      "oci:/a/b:example.com/app:1",
		"oci:layout":                      "oci:" + here + "/layout",
		"rootfs:/a/../b.tar":              "rootfs:/b.tar",
		"rootfs:-":                        "rootfs:-",
		"docker-archive:/a/b:c.tar":       "docker-archive:/a/b:c.tar",
		"docker-archive:-":                "docker-archive:-",
		"oci:":                            "",
		"oci:-":                           "",
		"rootfs:":                         "",
		"":                                "",
		"Alpine":                          "",
		"alpine:":                         "",
		"alpine@sha256:abc":               "",
		"../alpine":                       "",
		"http://example.com/app":          "",
		strings.Repeat("a", 300) + "/app": "",
	} {
		s, err := parseSource(ref)
		if want == "" {
			if protocol.KindOf(err) != protocol.KindInvalidArgument {
				t.Errorf("%q: %+v, %v, want an error", ref, s, err)
			}
			continue
		}
		if err != nil || s.String() != want {
			t.Errorf("%q: %q, %v, want %q", ref, s, err, want)
		}
	}
}

func FuzzReference(f *testing.F) {
	for _, ref := range []string{"alpine:3.20", "oci:dir:ref", "rootfs:-", "a/b@sha256:00"} {
		f.Add(ref)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		s, err := parseSource(ref)
		if err != nil {
			return
		}
		// The full form means the same.
		again, err := parseSource(s.String())
		if err != nil || again.String() != s.String() {
			t.Errorf("%q became %q, which became %q, %v", ref, s, again, err)
		}
	})
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"version": 1, "images": [{"reference": "a", "digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := parseIndex(b)
		if err != nil {
			return
		}
		for _, r := range i.Images {
			if strings.ContainsAny(r.Digest.Encoded()+r.ID.Encoded(), "/.") {
				t.Errorf("%+v is accepted", r)
			}
		}
		i.put(record{Reference: "a"})
		i.untag(func(r record) bool { return r.Reference == "a" })
	})
}

func FuzzDocuments(f *testing.F) {
	f.Add([]byte(`{"schemaVersion": 2, "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}`))
	f.Add([]byte(`{"manifests": [{"digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "platform": {"os": "linux"}}]}`))
	f.Add([]byte(`{"architecture": "amd64", "config": {"Env": ["A=B"]}, "rootfs": {"diff_ids": ["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}`))
	f.Add([]byte(`[{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["l.tar"]}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := parseDocument(b); err == nil {
			for _, digest := range d.digests() {
				if len(d.Manifests) == 0 && checkDigest(digest) != nil {
					t.Errorf("%q is accepted", digest)
				}
			}
			choose(d.Manifests, ocispec.Platform{OS: "linux", Architecture: "amd64"})
		}
		parseConfig(b)
		parseArchiveManifest(b)
	})
}

// A store belongs to its user alone.
func TestStoreIsPrivate(t *testing.T) {
	s := openStore(t, Options{})
	image := mustPull(t, s, "rootfs:"+writeTemp(t, tarOf(t, "a", "x")))
	contentOf(t, s, image, "/a")
	err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDiskIsBuiltOnce(t *testing.T) {
	s := openStore(t, Options{})
	image := mustPull(t, s, "rootfs:"+writeTemp(t, tarOf(t, "a", noise(1<<20))))
	var wait sync.WaitGroup
	var mu sync.Mutex
	built := 0
	paths := make(map[string]bool)
	for range 8 {
		wait.Go(func() {
			converting := false
			path, err := s.Disk(t.Context(), image, func(Progress) { converting = true })
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			paths[path] = true
			if converting {
				built++
			}
		})
	}
	wait.Wait()
	if built != 1 || len(paths) != 1 {
		t.Errorf("built %d times, paths %v", built, paths)
	}
	wantClean(t, s)
}

func TestEmbeddedImage(t *testing.T) {
	rootfs := tarOf(t, "etc/os-release", "base")
	opened := 0
	embedded := Embedded{
		Reference: "boxlite/base", Key: "1",
		Rootfs: func() (io.ReadCloser, error) {
			opened++
			return io.NopCloser(bytes.NewReader(zstandard(t, rootfs))), nil
		},
		Config: ocispec.ImageConfig{Cmd: []string{"/bin/sh"}},
	}
	s := openStore(t, Options{Embedded: embedded})
	images, err := s.List(t.Context())
	if err != nil || len(images) != 1 || images[0].Reference != "boxlite/base" || images[0].Config.Cmd[0] != "/bin/sh" {
		t.Fatalf("images: %+v, %v", images, err)
	}
	base := images[0]
	if n := len(files(t, s, blobsDir)) + len(files(t, s, disksDir)); n != 0 {
		t.Errorf("listing it made %d files", n)
	}
	for _, ref := range []string{"boxlite/base", "boxlite/base:latest", base.Digest, base.ID} {
		for name, find := range map[string]func() (Image, error){
			"Get":     func() (Image, error) { return s.Get(t.Context(), ref) },
			"Resolve": func() (Image, error) { return s.Resolve(t.Context(), ref, PullOptions{}) },
		} {
			if got, err := find(); err != nil || got.Digest != base.Digest {
				t.Errorf("%s(%s): %+v, %v", name, ref, got, err)
			}
		}
	}
	if got := mustPull(t, s, "boxlite/base"); got.Digest != base.Digest {
		t.Errorf("Pull: %+v", got)
	}
	if got := contentOf(t, s, base, "/etc/os-release"); got != "base" {
		t.Errorf("/etc/os-release is %q", got)
	}
	if freed, err := s.Prune(t.Context(), nobody); err != nil || freed != 0 {
		t.Errorf("Prune freed %d, %v", freed, err)
	}
	_, err = s.Remove(t.Context(), "boxlite/base", nobody)
	wantError(t, err, protocol.KindInvalidArgument, "part of BoxLite", "")

	t.Run("its digest is remembered", func(t *testing.T) {
		opened = 0
		again, err := Open(s.dir, Options{Embedded: embedded})
		if err != nil {
			t.Fatal(err)
		}
		images, err := again.List(t.Context())
		if diff := cmp.Diff([]Image{base}, images); diff != "" || err != nil || opened != 0 {
			t.Errorf("opened %d times, %v, %s", opened, err, diff)
		}
	})
	t.Run("another version replaces it", func(t *testing.T) {
		rootfs = tarOf(t, "etc/os-release", "newer")
		embedded.Key = "2"
		newer, err := Open(s.dir, Options{Embedded: embedded})
		if err != nil {
			t.Fatal(err)
		}
		image, err := newer.Get(t.Context(), "boxlite/base")
		if err != nil || image.Digest == base.Digest || contentOf(t, newer, image, "/etc/os-release") != "newer" {
			t.Errorf("got %+v, %v", image, err)
		}
		if freed, err := newer.Prune(t.Context(), func(d string) bool { return d == base.Digest }); err != nil || freed != 0 {
			t.Errorf("Prune freed %d, %v, while a box uses the old disk", freed, err)
		}
		if freed, err := newer.Prune(t.Context(), nobody); err != nil || freed == 0 || len(files(t, s, disksDir)) != 1 {
			t.Errorf("Prune freed %d, %v", freed, err)
		}
	})
	t.Run("it can't be read", func(t *testing.T) {
		s := openStore(t, Options{Embedded: Embedded{Reference: "boxlite/base", Rootfs: func() (io.ReadCloser, error) { return nil, errors.New("broken program") }}})
		_, err := s.List(t.Context())
		wantError(t, err, protocol.KindInternal, "read image boxlite/base: broken program", "")
	})
}
