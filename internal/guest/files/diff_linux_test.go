package files

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// newOverlay mounts an overlay as the agent does.
func newOverlay(t *testing.T, image string) (Layers, string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	dir := t.TempDir()
	// The folders of an overlay can't be on one themselves.
	mustDo(t, unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	t.Cleanup(func() { mustDo(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	l := Layers{Image: dir + "/image", Upper: dir + "/upper", Merged: dir + "/merged"}
	for _, d := range []string{l.Image, l.Upper, l.Merged, dir + "/work"} {
		mustDo(t, os.Mkdir(d, 0o755))
	}
	run(t, l.Image, image)
	options := "lowerdir=" + l.Image + ",upperdir=" + l.Upper + ",workdir=" + dir + "/work,redirect_dir=on"
	if err := unix.Mount("overlay", l.Merged, "overlay", 0, options); err != nil {
		t.Skip("no overlay can be mounted here: ", err)
	}
	t.Cleanup(func() { mustDo(t, unix.Unmount(l.Merged, unix.MNT_DETACH)) })
	return l, l.Merged
}

func run(t *testing.T, dir, script string) {
	t.Helper()
	c := exec.Command("sh", "-ec", script)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
}

func TestDiff(t *testing.T) {
	const image = `mkdir -p etc a/b/c opaque/x; echo 1 >etc/one; echo 2 >etc/two; echo 3 >a/b/c/three; echo 4 >opaque/x/four; echo 5 >opaque/five
		ln -s one etc/link`
	for _, c := range []struct{ name, do, want string }{
		{"nothing", "", ""},
		{"read", "cat etc/one", ""},
		{"add", "mkdir new; echo x >new/file; echo x >etc/new", "C /etc A /etc/new A /new A /new/file"},
		{"change", "echo x >>a/b/c/three", "C /a C /a/b C /a/b/c C /a/b/c/three"},
		{"attributes", "chmod 700 a/b; chmod 600 etc/one", "C /a C /a/b C /etc C /etc/one"},
		{"delete", "rm etc/one; rm -r a", "D /a C /etc D /etc/one"},
		{"add and delete", "echo x >etc/new; rm etc/new; mkdir x; rmdir x", ""},
		{"opaque", "rm -r opaque; mkdir opaque; echo x >opaque/new; echo x >opaque/five", "C /opaque C /opaque/five A /opaque/new D /opaque/x"},
		{"opaque and empty", "rm -r opaque; mkdir opaque", "C /opaque D /opaque/five D /opaque/x"},
		{"move", "mv a moved; echo x >moved/b/new", "D /a A /moved A /moved/b A /moved/b/c A /moved/b/c/three A /moved/b/new"},
		{"move over", "rm -r opaque; mv a opaque", "D /a C /opaque A /opaque/b A /opaque/b/c A /opaque/b/c/three D /opaque/five D /opaque/x"},
		{"other kinds", "rm -r a; echo x >a; rm etc/link; mkdir etc/link; echo x >etc/link/y", "C /a C /etc C /etc/link A /etc/link/y"},
		{"devices", "mknod null c 1 3; mkfifo etc/fifo", "C /etc A /etc/fifo A /null"},
		{"mount points", "mkdir proc dev sys; touch etc/hosts", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			layers, merged := newOverlay(t, image)
			run(t, merged, c.do)
			_, _, client := newService(t, layers)
			got, err := diff(t, client)
			mustDo(t, err)
			if strings.Join(got, " ") != c.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " "), c.want)
			}
		})
	}
	t.Run("deep", func(t *testing.T) {
		layers, merged := newOverlay(t, "")
		run(t, merged, "i=0; while [ $i -lt 300 ]; do mkdir d; cd d; i=$((i+1)); done")
		_, _, client := newService(t, layers)
		if _, err := diff(t, client); err == nil {
			t.Error("a tree of 300 levels has been walked")
		}
	})
}

func diff(t *testing.T, c boxlitev1.FilesClient) ([]string, error) {
	t.Helper()
	stream, err := c.Diff(t.Context(), &boxlitev1.DiffRequest{})
	mustDo(t, err)
	var lines []string
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[2:], b[2:]) })
			return lines, nil
		}
		if err != nil {
			return nil, err
		}
		for _, d := range r.GetDifferences() {
			lines = append(lines, "CAD"[d.GetKind():][:1]+" "+string(d.GetPath()))
		}
	}
}
