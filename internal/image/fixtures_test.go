package image

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

var discardLog = log.New(io.Discard, "", 0)

// quick makes failures come soon.
var quick = Network{HeaderTimeout: 5 * time.Second, StallTimeout: 5 * time.Second, RetryDelay: time.Millisecond}

// tarOf makes a tar of regular files, given as names and contents in turn.
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

// noise returns bytes that don't compress.
func noise(n int) string {
	b := make([]byte, n)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(b)
	return string(b)
}

// imageOf makes an image for the host's platform of layers, which are tars.
func imageOf(t testing.TB, layers ...[]byte) v1.Image {
	t.Helper()
	return imageFor(t, runtime.GOARCH, layers...)
}

func imageFor(t testing.TB, architecture string, layers ...[]byte) v1.Image {
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
	config.OS, config.Architecture = "linux", architecture
	config.Config.Env = []string{"GREETING=hello"}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

// layerDigest returns the digest of one of an image's layers.
func layerDigest(t testing.TB, image v1.Image, n int) string {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	d, err := layers[n].Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func openStore(t testing.TB, opts Options) *Store {
	t.Helper()
	if opts.Network == (Network{}) {
		opts.Network = quick
	}
	s, err := Open(filepath.Join(t.TempDir(), "images"), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustPull(t testing.TB, s *Store, ref string) Image {
	t.Helper()
	image, err := s.Pull(t.Context(), ref, PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// contentOf reads a file from an image's root disk.
func contentOf(t testing.TB, s *Store, image Image, file string) string {
	t.Helper()
	disk, err := s.Disk(t.Context(), image, nil)
	if err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("debugfs")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/debugfs"); err != nil {
			t.Skip("debugfs is not installed: ", err)
		}
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

// wantError checks an error's kind, and that its text and hint say certain things.
func wantError(t testing.TB, err error, kind protocol.Kind, text, hint string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", text)
	}
	if got := protocol.KindOf(err); got != kind {
		t.Errorf("the kind is %q, want %q: %v", got, kind, err)
	}
	if !strings.Contains(err.Error(), text) {
		t.Errorf("the error is %q, want %q in it", err, text)
	}
	if !strings.Contains(protocol.HintOf(err), hint) {
		t.Errorf("the hint is %q, want %q in it", protocol.HintOf(err), hint)
	}
}

// wantClean checks that nothing half-written is in the store.
func wantClean(t testing.TB, s *Store) {
	t.Helper()
	for _, dir := range []string{tmpDir, partialDir, locksDir} {
		files, err := os.ReadDir(s.path(dir))
		if err != nil {
			t.Error(err)
		}
		for _, f := range files {
			t.Errorf("left behind: %s/%s", dir, f.Name())
		}
	}
}

// files returns the names in a folder of the store.
func files(t testing.TB, s *Store, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(s.path(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func contextOf(t testing.TB) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}

var contextBackground = context.Background()

// nobody uses any image.
func nobody(string) bool { return false }
