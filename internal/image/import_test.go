package image

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	ggcrlayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/zstd"
)

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstandard(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(b, nil)
}

// writeTemp writes a file and returns its path.
func writeTemp(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImportRootfs(t *testing.T) {
	rootfs := tarOf(t, "etc/motd", "hello")
	for name, content := range map[string][]byte{"plain": rootfs, "gzip": gzipped(t, rootfs), "zstd": zstandard(t, rootfs)} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, Options{})
			path := writeTemp(t, content)
			image := mustPull(t, s, "rootfs:"+path)
			if image.Reference != "rootfs:"+path || image.Platform != defaultPlatform() || image.Size != int64(len(content)) {
				t.Errorf("got %+v", image)
			}
			if got := contentOf(t, s, image, "/etc/motd"); got != "hello" {
				t.Errorf("/etc/motd is %q", got)
			}
			piped, err := s.Pull(t.Context(), "rootfs:-", PullOptions{Stdin: bytes.NewReader(content)})
			if err != nil || piped.Digest != image.Digest || !strings.HasPrefix(piped.Reference, "rootfs:") {
				t.Errorf("from standard input: %+v, %v", piped, err)
			}
			if found, err := s.Get(t.Context(), piped.Reference); err != nil || found.Digest != image.Digest {
				t.Errorf("Get(%s): %+v, %v", piped.Reference, found, err)
			}
			wantClean(t, s)
		})
	}
}

// A file is imported again when it has changed, and not needed any more when it
// is gone.
func TestResolveLooksAtTheFile(t *testing.T) {
	s := openStore(t, Options{})
	path := writeTemp(t, tarOf(t, "v", "1"))
	resolve := func() (Image, int) {
		t.Helper()
		imported := 0
		image, err := s.Resolve(t.Context(), "rootfs:"+path, PullOptions{Progress: func(Progress) { imported = 1 }})
		if err != nil {
			t.Fatal(err)
		}
		return image, imported
	}
	first, imported := resolve()
	if imported != 1 {
		t.Error("it was not imported")
	}
	if again, imported := resolve(); imported != 0 || again.Digest != first.Digest {
		t.Error("it was imported again")
	}
	if err := os.WriteFile(path, tarOf(t, "v", "22"), 0o600); err != nil {
		t.Fatal(err)
	}
	second, imported := resolve()
	if imported != 1 || contentOf(t, s, second, "/v") != "22" {
		t.Error("the changed file was not imported")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if again, imported := resolve(); imported != 0 || again.Digest != second.Digest {
		t.Error("the image is gone with the file")
	}
}

// saved makes what `docker save` writes.
func saved(t testing.TB, images map[string]v1.Image) []byte {
	t.Helper()
	tagged := make(map[name.Tag]v1.Image)
	for tag, image := range images {
		n, err := name.NewTag(tag)
		if err != nil {
			t.Fatal(err)
		}
		tagged[n] = image
	}
	var b bytes.Buffer
	if err := tarball.MultiWrite(tagged, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestImportArchive(t *testing.T) {
	image := imageOf(t, tarOf(t, "v", "1", "old", "x"), tarOf(t, "v", "2", ".wh.old", ""))
	archive := saved(t, map[string]v1.Image{"team/app:1.0": image})
	for name, content := range map[string][]byte{"plain": archive, "gzip": gzipped(t, archive), "zstd": zstandard(t, archive)} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, Options{})
			path := writeTemp(t, content)
			got := mustPull(t, s, "docker-archive:"+path)
			id, _ := image.ConfigName()
			if got.Reference != "docker.io/team/app:1.0" || got.ID != id.String() {
				t.Errorf("got %+v", got)
			}
			if v := contentOf(t, s, got, "/v"); v != "2" {
				t.Errorf("/v is %q", v)
			}
			if found, err := s.Resolve(t.Context(), "team/app:1.0", PullOptions{}); err != nil || found.Digest != got.Digest {
				t.Errorf("by its name: %+v, %v", found, err)
			}
			piped, err := s.Pull(t.Context(), "docker-archive:-", PullOptions{Stdin: bytes.NewReader(content)})
			if err != nil || piped.Digest != got.Digest {
				t.Errorf("from standard input: %+v, %v", piped, err)
			}
			wantClean(t, s)
		})
	}
	t.Run("several images", func(t *testing.T) {
		s := openStore(t, Options{})
		mustPull(t, s, "docker-archive:"+writeTemp(t, saved(t, map[string]v1.Image{"a:1": image, "b:1": imageOf(t, tarOf(t, "b", "b"))})))
		for _, ref := range []string{"a:1", "b:1"} {
			if _, err := s.Get(t.Context(), ref); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("without a name", func(t *testing.T) {
		s := openStore(t, Options{})
		anonymous := bytes.ReplaceAll(archive, []byte(`["team/app:1.0"]`), []byte(`[              ]`))
		path := writeTemp(t, anonymous)
		if got := mustPull(t, s, "docker-archive:"+path); got.Reference != "docker-archive:"+path {
			t.Errorf("the reference is %q", got.Reference)
		}
	})
}

func TestImportLayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layout")
	l, err := ggcrlayout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	add := func(tag, content string) {
		t.Helper()
		annotations := map[string]string{"org.opencontainers.image.ref.name": tag}
		if err := l.AppendImage(imageOf(t, tarOf(t, "v", content)), ggcrlayout.WithAnnotations(annotations)); err != nil {
			t.Fatal(err)
		}
	}
	add("1", "one")
	s := openStore(t, Options{})
	if got := mustPull(t, s, "oci:"+dir); got.Reference != "oci:"+dir || contentOf(t, s, got, "/v") != "one" {
		t.Errorf("got %+v", got)
	}
	add("2", "two")
	got := mustPull(t, s, "oci:"+dir+":2")
	if got.Reference != "oci:"+dir+":2" || contentOf(t, s, got, "/v") != "two" {
		t.Errorf("got %+v", got)
	}
	_, err = s.Pull(t.Context(), "oci:"+dir, PullOptions{})
	wantError(t, err, protocol.KindImage, "several images in it: 1, 2", "oci:DIR:1")
	_, err = s.Pull(t.Context(), "oci:"+dir+":3", PullOptions{})
	wantError(t, err, protocol.KindImage, `no "3" in it, only 1, 2`, "")

	blob := filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(got.Digest, "sha256:"))
	if err := os.WriteFile(blob, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = openStore(t, Options{}).Pull(t.Context(), "oci:"+dir+":2", PullOptions{})
	wantError(t, err, protocol.KindImage, "has other content", "make it again")
}

// What other tools write is read. They are asked to convert an image of ours.
func TestImportWhatSkopeoWrites(t *testing.T) {
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("skopeo is not installed: ", err)
	}
	dir := t.TempDir()
	archive := filepath.Join(dir, "ours.tar")
	if err := os.WriteFile(archive, saved(t, map[string]v1.Image{"app:1": imageOf(t, tarOf(t, "v", "1"))}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"oci:" + dir + "/layout:tag", "docker-archive:" + dir + "/theirs.tar:app:2"} {
		c := exec.Command(skopeo, "--insecure-policy", "--tmpdir", dir, "copy", "-q", "docker-archive:"+archive, target)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	s := openStore(t, Options{})
	for ref, want := range map[string]string{
		"oci:" + dir + "/layout:tag":            "oci:" + dir + "/layout:tag",
		"docker-archive:" + dir + "/theirs.tar": "docker.io/library/app:2",
	} {
		image := mustPull(t, s, ref)
		if image.Reference != want || contentOf(t, s, image, "/v") != "1" || !slices.Equal(image.Config.Env, []string{"GREETING=hello"}) {
			t.Errorf("%s became %+v", ref, image)
		}
	}
}

func TestImportsThatFail(t *testing.T) {
	archive := saved(t, map[string]v1.Image{"app:1": imageOf(t, tarOf(t, "v", "1"))})
	foreign := saved(t, map[string]v1.Image{"app:1": imageFor(t, "s390x", tarOf(t, "v", "1"))})
	dir := t.TempDir()
	for _, test := range []struct {
		name, ref  string
		kind       protocol.Kind
		text, hint string
	}{
		{"rootfs that is not there", "rootfs:/no/such/file", protocol.KindImage, "no such file", "/no/such/file is right"},
		{"archive that is not there", "docker-archive:/no/such/file", protocol.KindImage, "no such file", "/no/such/file is right"},
		{"layout that is not there", "oci:/no/such/dir", protocol.KindImage, "no such file", "oci-layout and index.json"},
		{"directory as archive", "docker-archive:" + dir, protocol.KindImage, "is a directory", "docker-archive:-"},
		{"empty directory as layout", "oci:" + dir, protocol.KindImage, "no such file", "oci-layout and index.json"},
		{"nothing named", "rootfs:", protocol.KindInvalidArgument, "names no file", "rootfs:FILE"},
		{"no standard input", "rootfs:-", protocol.KindInvalidArgument, "no standard input", ""},
		{"text as rootfs", "rootfs:" + writeTemp(t, []byte(strings.Repeat("text", 1000))), protocol.KindImage, "not a tar archive", "plain, or compressed"},
		{"empty file as rootfs", "rootfs:" + writeTemp(t, nil), protocol.KindImage, "not a tar archive", "plain, or compressed"},
		{"broken gzip as rootfs", "rootfs:" + writeTemp(t, gzipped(t, archive)[:100]), protocol.KindImage, "unexpected EOF", ""},
		{"rootfs as archive", "docker-archive:" + writeTemp(t, tarOf(t, "etc/motd", "x")), protocol.KindImage, "no manifest.json", "rootfs:FILE"},
		{"text as archive", "docker-archive:" + writeTemp(t, []byte(strings.Repeat("text", 1000))), protocol.KindImage, "read archive", "docker save"},
		{"cut off archive", "docker-archive:" + writeTemp(t, archive[:2500]), protocol.KindImage, "read archive", "docker save"},
		{"archive without its layer", "docker-archive:" + writeTemp(t, tarOf(t, "c", "{}", "manifest.json", `[{"Config": "c", "Layers": ["l"]}]`)), protocol.KindImage, `no "l"`, "incomplete"},
		{"archive without its configuration", "docker-archive:" + writeTemp(t, tarOf(t, "manifest.json", `[{"Config": "c"}]`)), protocol.KindImage, `no "c"`, "incomplete"},
		{"archive of nothing", "docker-archive:" + writeTemp(t, tarOf(t, "manifest.json", `[]`)), protocol.KindImage, "lists no images", ""},
		{"archive for another machine", "docker-archive:" + writeTemp(t, foreign), protocol.KindImage, "only for linux/s390x", "--platform"},
		{"not a name", "UPPER CASE", protocol.KindInvalidArgument, "not the name of an image", "alpine"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := openStore(t, Options{})
			_, err := s.Pull(t.Context(), test.ref, PullOptions{})
			wantError(t, err, test.kind, test.text, test.hint)
			wantNothing(t, s)
			if blobs := files(t, s, blobsDir); len(blobs) > 0 {
				t.Errorf("there are the blobs %q", blobs)
			}
		})
	}
	t.Run("larger than the limit", func(t *testing.T) {
		s := openStore(t, Options{})
		s.opts.Limits.Bytes = 10_000
		for _, scheme := range []string{"rootfs:-", "docker-archive:-"} {
			endless := io.MultiReader(bytes.NewReader(tarOf(t, "a", "b")[:1024]), bytes.NewReader(tarOf(t, "c", noise(20_000))))
			_, err := s.Pull(t.Context(), scheme, PullOptions{Stdin: endless})
			wantError(t, err, protocol.KindResourceExhausted, "limit of", "maxImageBytes")
			wantNothing(t, s)
		}
		bomb := gzipped(t, tarOf(t, "zeros", strings.Repeat("\x00", 1<<20)))
		_, err := s.Pull(t.Context(), "rootfs:-", PullOptions{Stdin: bytes.NewReader(bomb)})
		wantError(t, err, protocol.KindResourceExhausted, fmt.Sprintf("limit of %d bytes", 10_000), "maxImageBytes")
	})
}
