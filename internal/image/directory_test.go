package image

import (
	"archive/tar"
	"errors"
	"io"
	"iter"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// newFolder makes a folder with files of all sorts.
func newFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	socket, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	for _, err := range []error{
		os.MkdirAll(at("etc/deep"), 0o755),
		os.WriteFile(at("etc/motd"), []byte("hello"), 0o600),
		os.Chmod(at("etc/motd"), 0o755|os.ModeSetuid),
		os.Link(at("etc/motd"), at("etc/zzz")),
		os.Symlink("/etc/hostname", at("etc/outside")),
		os.Symlink("../..", at("etc/deep/up")),
		unix.Mkfifo(at("fifo"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestImportFolder(t *testing.T) {
	s := openStore(t, Options{})
	dir := newFolder(t)
	image := mustPull(t, s, "rootfs:"+dir)
	if image.Reference != "rootfs:"+dir || image.Platform != defaultPlatform() {
		t.Errorf("got %+v", image)
	}
	for _, name := range []string{"/etc/motd", "/etc/zzz"} {
		if got := contentOf(t, s, image, name); got != "hello" {
			t.Errorf("%s is %q", name, got)
		}
	}
	// The same files are the same image, be they read again or reached by a link.
	link := filepath.Join(t.TempDir(), "link")
	if err := errors.Join(os.Symlink(dir, link), os.Chtimes(filepath.Join(dir, "etc/motd"), time.Now(), time.Time{})); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"rootfs:" + dir, "rootfs:" + link} {
		if again := mustPull(t, s, ref); again.Digest != image.Digest {
			t.Errorf("%s is another image", ref)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "etc/motd"), []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	changed, err := s.Resolve(t.Context(), "rootfs:"+dir, PullOptions{})
	if err != nil || changed.Digest == image.Digest || contentOf(t, s, changed, "/etc/motd") != "other" {
		t.Errorf("what has changed is not imported again: %+v, %v", changed, err)
	}
	wantClean(t, s)
}

// TestFolderAsTar: what is in the tar, and that no link leads out of the folder.
func TestFolderAsTar(t *testing.T) {
	r := tarFolder(t.Context(), newFolder(t))
	defer r.Close()
	var got []string
	for h, err := range headers(r) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.TrimSpace(strings.Join([]string{string(h.Typeflag), h.Name, h.Linkname}, " ")))
		if h.Name == "etc/motd" && h.Mode != 0o4755 || h.Uid != os.Getuid() || h.Uname != "" {
			t.Errorf("got %+v", h)
		}
	}
	const want = "5 ./; 5 etc/; 5 etc/deep/; 2 etc/deep/up ../..; 0 etc/motd; 2 etc/outside /etc/hostname; 1 etc/zzz etc/motd; 6 fifo"
	if all := strings.Join(got, "; "); all != want {
		t.Errorf("got  %s\nwant %s", all, want)
	}
}

func TestUnreadableFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := newFolder(t)
	if err := os.Chmod(filepath.Join(dir, "etc/motd"), 0); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, Options{})
	_, err := s.Pull(t.Context(), "rootfs:"+dir, PullOptions{})
	wantError(t, err, protocol.KindImage, "permission denied", "pipe it in")
	wantNothing(t, s)
}

// headers reads a tar to its end.
func headers(r io.Reader) iter.Seq2[*tar.Header, error] {
	return func(yield func(*tar.Header, error) bool) {
		for t := tar.NewReader(r); ; {
			h, err := t.Next()
			if err == io.EOF || !yield(h, err) || err != nil {
				return
			}
		}
	}
}
