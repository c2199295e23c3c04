package image

import (
	"slices"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

func TestCandidates(t *testing.T) {
	s := openStore(t, Options{Registries: []string{"a.example", "localhost:5000/team", "docker.io"}})
	for ref, want := range map[string]string{
		"alpine":                            "a.example/alpine localhost:5000/team/alpine docker.io/alpine",
		"team/app:1":                        "a.example/team/app:1 localhost:5000/team/team/app:1 docker.io/team/app:1",
		"b.example/app":                     "b.example/app",
		"b:5000/app":                        "b:5000/app",
		"localhost/app":                     "localhost/app",
		"rootfs:x":                          "rootfs:x",
		"oci:dir:tag":                       "oci:dir:tag",
		"docker-archive:-":                  "docker-archive:-",
		"sha256:" + strings.Repeat("a", 64): "sha256:" + strings.Repeat("a", 64),
	} {
		if got := strings.Join(s.candidates(ref), " "); got != want {
			t.Errorf("%s: got %s, want %s", ref, got, want)
		}
	}
	if got := openStore(t, Options{}).candidates("alpine"); !slices.Equal(got, []string{"alpine"}) {
		t.Errorf("without registries: got %s", got)
	}
}

func TestRegistriesAreChecked(t *testing.T) {
	for _, host := range []string{"", "https://a.example", "a b", "a.example/", "justaword", "/x"} {
		_, err := Open(t.TempDir(), Options{Registries: []string{host}})
		wantError(t, err, protocol.KindConfig, "is not a registry", "HOST:PORT")
	}
}

// TestSearch: the first registry that has an image is the one that it comes from,
// and no other name for it counts.
func TestSearch(t *testing.T) {
	first, second := startRegistry(t), startRegistry(t)
	push(t, imageOf(t, tarOf(t, "v", "second")), second+"/app:1")
	s := openStore(t, Options{Registries: []string{first, second}, Network: quick})
	image := mustPull(t, s, "app:1")
	if image.Reference != second+"/app:1" {
		t.Errorf("got %s", image.Reference)
	}
	for _, ref := range []string{"app:1", second + "/app:1"} {
		if found, err := s.Get(t.Context(), ref); err != nil || found.Digest != image.Digest {
			t.Errorf("Get(%s): %+v, %v", ref, found, err)
		}
		if found, err := s.Resolve(t.Context(), ref, PullOptions{}); err != nil || found.Digest != image.Digest {
			t.Errorf("Resolve(%s): %+v, %v", ref, found, err)
		}
	}
	push(t, imageOf(t, tarOf(t, "v", "first")), first+"/app:1")
	if image = mustPull(t, s, "app:1"); image.Reference != first+"/app:1" {
		t.Errorf("got %s", image.Reference)
	}
	_, err := s.Pull(t.Context(), "other:1", PullOptions{})
	wantError(t, err, protocol.KindImage, "pull image "+second+"/other:1", "check")
	if !strings.Contains(err.Error(), first+"/other:1") {
		t.Errorf("got %v", err)
	}
	// What is there from elsewhere is not what the name means.
	elsewhere := openStore(t, Options{Registries: []string{first}, Network: quick})
	if _, err := elsewhere.Resolve(t.Context(), "team/none", PullOptions{}); err == nil {
		t.Error("an image that the registry doesn't have was found")
	}
}
