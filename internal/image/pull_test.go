package image

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func TestPullFromRegistry(t *testing.T) {
	host := startRegistry(t)
	image := imageOf(t, tarOf(t, "etc/motd", "below", "etc/issue", "issue"), tarOf(t, "etc/motd", "above"))
	push(t, image, host+"/team/app:1.0")
	digest, _ := image.Digest()
	id, _ := image.ConfigName()
	s := openStore(t, Options{})

	got := mustPull(t, s, host+"/team/app:1.0")
	if want := host + "/team/app:1.0"; got.Reference != want {
		t.Errorf("reference %q, want %q", got.Reference, want)
	}
	if got.Digest != digest.String() || got.ID != id.String() {
		t.Errorf("digest %s and ID %s, want %s and %s", got.Digest, got.ID, digest, id)
	}
	if got.Platform != defaultPlatform() || !slices.Equal(got.Config.Env, []string{"GREETING=hello"}) {
		t.Errorf("platform %s and environment %q", got.Platform, got.Config.Env)
	}
	if content := contentOf(t, s, got, "/etc/motd"); content != "above" {
		t.Errorf("/etc/motd is %q", content)
	}
	for _, ref := range []string{host + "/team/app:1.0", got.Digest, got.ID, got.ID[7:19], got.ID[:11]} {
		found, err := s.Get(t.Context(), ref)
		if err != nil {
			t.Errorf("Get(%s): %v", ref, err)
		}
		if diff := cmp.Diff(got, found); diff != "" {
			t.Errorf("Get(%s): %s", ref, diff)
		}
	}
	wantClean(t, s)

	t.Run("by digest", func(t *testing.T) {
		ref := host + "/team/app@" + digest.String()
		if got := mustPull(t, s, ref); got.Reference != ref || got.Digest != digest.String() {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("unknown name", func(t *testing.T) {
		_, err := s.Pull(t.Context(), host+"/team/other:1.0", PullOptions{})
		wantError(t, err, protocol.KindImage, "pull image "+host+"/team/other:1.0", "check the image's name")
		_, err = s.Get(t.Context(), "nothing")
		wantError(t, err, protocol.KindNotFound, "no such image", "boxlite pull")
	})
	t.Run("ended context", func(t *testing.T) {
		ctx, cancel := contextOf(t)
		cancel()
		_, err := s.Pull(ctx, host+"/team/app:1.0", PullOptions{})
		wantError(t, err, protocol.KindStopped, "canceled", "")
	})
}

// Resolve looks into the store first; Pull asks the registry what a tag means now.
func TestTagsMove(t *testing.T) {
	p := startProxy(t, startRegistry(t), whole)
	ref := p.host + "/app:latest"
	first, second := imageOf(t, tarOf(t, "v", "1")), imageOf(t, tarOf(t, "v", "2"))
	push(t, first, ref)
	s := openStore(t, Options{})
	old := mustPull(t, s, ref)
	push(t, second, ref)

	resolved, err := s.Resolve(t.Context(), ref, PullOptions{})
	if err != nil || resolved.Digest != old.Digest {
		t.Errorf("Resolve: %s, %v, want the image that is there, %s", resolved.Digest, err, old.Digest)
	}
	pulled := mustPull(t, s, ref)
	if v := contentOf(t, s, pulled, "/v"); v != "2" {
		t.Errorf("Pull got version %s", v)
	}
	// A box may be using the old one, so that it is kept, without a name.
	images, err := s.List(t.Context())
	if err != nil || len(images) != 2 || images[0].Reference != "" || images[0].Digest != old.Digest || images[1].Reference != ref {
		t.Errorf("List: %+v, %v", images, err)
	}
}

func TestPlatforms(t *testing.T) {
	host := startRegistry(t)
	arm, riscv := imageFor(t, "arm64", tarOf(t, "arch", "arm64")), imageFor(t, "riscv64", tarOf(t, "arch", "riscv64"))
	add := func(i v1.Image, platform v1.Platform) mutate.IndexAddendum {
		return mutate.IndexAddendum{Add: i, Descriptor: v1.Descriptor{Platform: &platform}}
	}
	index := mutate.AppendManifests(
		mutate.IndexMediaType(empty.Index, types.OCIImageIndex),
		add(imageFor(t, "unknown"), v1.Platform{OS: "unknown", Architecture: "unknown"}), // an attestation
		add(arm, v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}),
		add(riscv, v1.Platform{OS: "linux", Architecture: "riscv64"}),
	)
	push(t, index, host+"/multi")
	push(t, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: index}), host+"/nested")
	push(t, riscv, host+"/single")
	s := openStore(t, Options{})
	for _, test := range []struct{ ref, platform, want, fail string }{
		{"multi", "linux/arm64", "arm64", ""},
		{"multi", "linux/arm64/v8", "arm64", ""},
		{"multi", "linux/riscv64", "riscv64", ""},
		{"nested", "linux/riscv64", "riscv64", ""},
		{"single", "linux/riscv64", "riscv64", ""},
		{"multi", "linux/s390x", "", "no image for linux/s390x, only for linux/arm64/v8, linux/riscv64"},
		{"multi", "linux/arm64/v7", "", "only for linux/arm64/v8"},
		{"multi", "windows/arm64", "", "no image for windows/arm64"},
		{"single", "linux/s390x", "", "no image for linux/s390x, only for linux/riscv64"},
	} {
		t.Run(test.ref+" for "+test.platform, func(t *testing.T) {
			image, err := s.Resolve(t.Context(), host+"/"+test.ref, PullOptions{Platform: test.platform})
			if test.fail != "" {
				wantError(t, err, protocol.KindImage, test.fail, "--platform")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := contentOf(t, s, image, "/arch"); got != test.want {
				t.Errorf("got the image for %s", got)
			}
		})
	}
	_, err := s.Pull(t.Context(), host+"/multi", PullOptions{Platform: "amd64"})
	wantError(t, err, protocol.KindInvalidArgument, "not a platform", "linux/amd64")
}

func TestCredentials(t *testing.T) {
	passwords := filepath.Join(t.TempDir(), "htpasswd")
	// alice:secret
	if err := os.WriteFile(passwords, []byte("alice:$2b$04$eE25PBFJqzNkFGv.kw7pcuesk031WaEUU/NKN0y0iLuhQTkhV8ha6\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	host := startRegistry(t, fmt.Sprintf("auth: {htpasswd: {realm: test, path: %q}}", passwords))
	ref := host + "/private/app:1"
	push(t, imageOf(t, tarOf(t, "a", "1")), ref, asAlice)

	config := func(t *testing.T, content string) {
		t.Helper()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("DOCKER_CONFIG", dir)
	}
	t.Run("none", func(t *testing.T) {
		config(t, `{}`)
		_, err := openStore(t, Options{}).Pull(t.Context(), ref, PullOptions{})
		wantError(t, err, protocol.KindImage, "UNAUTHORIZED", "docker login "+host)
	})
	t.Run("docker's config", func(t *testing.T) {
		config(t, fmt.Sprintf(`{"auths": {%q: {"username": "alice", "password": "secret"}}}`, host))
		mustPull(t, openStore(t, Options{}), ref)
	})
	t.Run("wrong password", func(t *testing.T) {
		config(t, fmt.Sprintf(`{"auths": {%q: {"username": "alice", "password": "guess"}}}`, host))
		_, err := openStore(t, Options{}).Pull(t.Context(), ref, PullOptions{})
		wantError(t, err, protocol.KindImage, "UNAUTHORIZED", "docker login "+host)
	})
	t.Run("a credential helper", func(t *testing.T) {
		config(t, fmt.Sprintf(`{"credHelpers": {%q: "boxlitetest"}}`, host))
		dir := t.TempDir()
		script := "#!/bin/sh\necho '{\"Username\": \"alice\", \"Secret\": \"secret\"}'\n"
		if err := os.WriteFile(filepath.Join(dir, "docker-credential-boxlitetest"), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
		mustPull(t, openStore(t, Options{}), ref)
	})
}

func TestMirrors(t *testing.T) {
	origin, mirror := startProxy(t, startRegistry(t), whole), startProxy(t, startRegistry(t), whole)
	both, only := imageOf(t, tarOf(t, "a", "both")), imageOf(t, tarOf(t, "a", "origin only"))
	push(t, both, origin.host+"/both:1")
	push(t, both, mirror.host+"/both:1")
	push(t, only, origin.host+"/only:1")
	s := openStore(t, Options{Mirrors: map[string][]string{
		origin.host: {"http://127.0.0.1:1", "http://" + mirror.host},
		"docker.io": {"http://" + mirror.host},
	}})
	pulls := func(p *proxy, image v1.Image) int { return len(p.blobs(layerDigest(t, image, 0))) }

	if got := mustPull(t, s, origin.host+"/both:1"); got.Reference != origin.host+"/both:1" {
		t.Errorf("the reference is %q", got.Reference)
	}
	if pulls(mirror, both) != 1 || pulls(origin, both) != 0 {
		t.Errorf("the layer was fetched %d times from the mirror and %d times from the registry", pulls(mirror, both), pulls(origin, both))
	}
	mustPull(t, s, origin.host+"/only:1")
	if pulls(origin, only) != 1 {
		t.Errorf("the layer was fetched %d times from the registry", pulls(origin, only))
	}
	push(t, only, mirror.host+"/library/alpine:3")
	if got := mustPull(t, s, "alpine:3"); got.Reference != "docker.io/library/alpine:3" {
		t.Errorf("the reference is %q", got.Reference)
	}
	_, err := s.Pull(t.Context(), origin.host+"/neither:1", PullOptions{})
	wantError(t, err, protocol.KindImage, "registry "+origin.host, "name and tag")
}

// What came before an interruption is not fetched again.
func TestInterruptedPullGoesOn(t *testing.T) {
	var cut atomic.Int64
	p := startProxy(t, startRegistry(t), func(*http.Request) int64 { return cut.Load() })
	image := imageOf(t, tarOf(t, "noise", noise(1<<20)))
	layer := layerDigest(t, image, 0)
	cut.Store(-1)
	push(t, image, p.host+"/app")
	s := openStore(t, Options{})

	cut.Store(300_000)
	_, err := s.Pull(t.Context(), p.host+"/app", PullOptions{})
	wantError(t, err, protocol.KindImage, "EOF", "")
	before := len(p.blobs(layer))
	if before != 3 {
		t.Errorf("there were %d attempts, want 3", before)
	}
	partial := s.path(partialDir, strings.TrimPrefix(layer, "sha256:"))
	info, err := os.Stat(partial)
	if err != nil {
		t.Fatal(err)
	}
	if images, _ := s.List(t.Context()); len(images) != 0 {
		t.Errorf("an incomplete image is listed: %+v", images)
	}

	cut.Store(-1)
	var first int64 = -1
	got, err := s.Pull(t.Context(), p.host+"/app", PullOptions{Progress: func(p Progress) {
		if p.Phase == "download" && p.Layer == layer && p.Done > 0 && first < 0 {
			first = p.Done
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	requests := p.blobs(layer)[before:]
	if want := fmt.Sprintf("bytes=%d-", info.Size()); len(requests) != 1 || requests[0].Header.Get("Range") != want {
		t.Errorf("the second pull asked for %q, want %q", requests[0].Header.Get("Range"), want)
	}
	if first < info.Size() {
		t.Errorf("progress began at %d, want %d", first, info.Size())
	}
	if contentOf(t, s, got, "/noise") != noise(1<<20) {
		t.Error("the content is another one")
	}
	wantClean(t, s)

	t.Run("a damaged part is noticed", func(t *testing.T) {
		s := openStore(t, Options{})
		partial := s.path(partialDir, strings.TrimPrefix(layer, "sha256:"))
		if err := os.WriteFile(partial, []byte(strings.Repeat("damaged", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := mustPull(t, s, p.host+"/app"); contentOf(t, s, got, "/noise") != noise(1<<20) {
			t.Error("the content is another one")
		}
	})
	t.Run("a part that is too long is noticed", func(t *testing.T) {
		s := openStore(t, Options{})
		partial := s.path(partialDir, strings.TrimPrefix(layer, "sha256:"))
		if err := os.WriteFile(partial, make([]byte, 3<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		mustPull(t, s, p.host+"/app")
	})
}

func TestProgress(t *testing.T) {
	host := startRegistry(t)
	image := imageOf(t, tarOf(t, "a", noise(2<<20)), tarOf(t, "b", noise(1000)))
	push(t, image, host+"/app")
	s := openStore(t, Options{})
	last := make(map[string]Progress)
	var running atomic.Int32
	note := func(p Progress) {
		if running.Add(1) != 1 {
			t.Error("progress is told by several goroutines at once")
		}
		last[p.Phase+" "+p.Layer] = p
		running.Add(-1)
	}
	got, err := s.Pull(t.Context(), host+"/app", PullOptions{Progress: note})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Disk(t.Context(), got, note); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"download " + layerDigest(t, image, 0), "download " + layerDigest(t, image, 1), "download " + got.ID, "convert "} {
		if p, ok := last[step]; !ok || p.Done != p.Total || p.Total == 0 {
			t.Errorf("%s ended at %d of %d", step, p.Done, p.Total)
		}
	}
}
