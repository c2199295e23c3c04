package image

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// tarOf makes a tar of regular files.
func tarOf(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: files[i], Size: int64(len(files[i+1])), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// imageOf makes an image of layers, which are tars.
func imageOf(t testing.TB, layers ...[]byte) v1.Image {
	t.Helper()
	image := empty.Image
	for _, content := range layers {
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
		if err != nil {
			t.Fatal(err)
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			t.Fatal(err)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config.OS, config.Architecture = "linux", runtimeArch
	config.Config.Env = []string{"GREETING=hello"}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

func openStore(t testing.TB, opts Options) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "images"), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// contentOf reads a file from an image's root disk.
func contentOf(t *testing.T, s *Store, image Image, file string) string {
	t.Helper()
	disk, err := s.Disk(t.Context(), image, nil)
	if err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("debugfs")
	if err != nil {
		t.Skip("debugfs is not installed: ", err)
	}
	out := filepath.Join(t.TempDir(), "file")
	if b, err := exec.Command(program, "-R", "dump "+file+" "+out, disk).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPullFromRegistry(t *testing.T) {
	host := startRegistry(t)
	image := imageOf(t, tarOf(t, "etc/motd", "below", "etc/issue", "issue"), tarOf(t, "etc/motd", "above"))
	push(t, image, host+"/team/app:1.0")
	s := openStore(t, Options{})
	got, err := s.Pull(t.Context(), host+"/team/app:1.0", PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := host + "/team/app:1.0"; got.Reference != want {
		t.Errorf("reference %q, want %q", got.Reference, want)
	}
	digest, _ := image.Digest()
	id, _ := image.ConfigName()
	if got.Digest != digest.String() || got.ID != id.String() {
		t.Errorf("digest %s and ID %s, want %s and %s", got.Digest, got.ID, digest, id)
	}
	if content := contentOf(t, s, got, "/etc/motd"); content != "above" {
		t.Errorf("/etc/motd is %q", content)
	}
	for _, ref := range []string{host + "/team/app:1.0", got.Digest, got.ID, got.ID[7:19]} {
		found, err := s.Get(t.Context(), ref)
		if err != nil {
			t.Errorf("Get(%s): %v", ref, err)
		}
		if diff := cmp.Diff(got, found); diff != "" {
			t.Errorf("Get(%s): %s", ref, diff)
		}
	}
}

var runtimeArch = defaultPlatform()[len("linux/"):]
