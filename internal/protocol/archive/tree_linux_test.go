package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func mustDo(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openDir(t testing.TB, path string) int {
	t.Helper()
	fd, err := unix.Open(path, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	mustDo(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// mine are options that leave files to whoever runs the test.
func mine() UnpackOptions { return UnpackOptions{UID: -1, GID: -1, Umask: 0o777} }

func pack(t testing.TB, dir, name, as string) []byte {
	t.Helper()
	var b bytes.Buffer
	mustDo(t, Pack(t.Context(), &b, openDir(t, dir), name, as, PackOptions{}))
	return b.Bytes()
}

func unpack(t testing.TB, data []byte, o UnpackOptions) (dir string, err error) {
	t.Helper()
	dir = t.TempDir()
	_, err = Unpack(t.Context(), bytes.NewReader(data), openDir(t, dir), o)
	noTemporary(t, dir)
	return dir, err
}

func noTemporary(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), TemporaryPrefix) {
			t.Errorf("%s was left", path)
		}
		return err
	})
	mustDo(t, err)
}

// describe lists all that a copy must keep of a tree.
func describe(t testing.TB, root string) string {
	t.Helper()
	var b strings.Builder
	first := map[uint64]string{}
	mustDo(t, filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if name == "." {
			return nil
		}
		var s unix.Stat_t
		mustDo(t, unix.Lstat(path, &s))
		fmt.Fprintf(&b, "%s %o %d:%d %d.%09d", name, s.Mode, s.Uid, s.Gid, s.Mtim.Sec, s.Mtim.Nsec)
		switch s.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			text, err := os.ReadFile(path)
			mustDo(t, err)
			fmt.Fprintf(&b, " %d %x", s.Size, text[:min(len(text), 20)])
			if before, ok := first[s.Ino]; ok {
				fmt.Fprintf(&b, " = %s", before)
			}
			first[s.Ino] = name
			var value [100]byte
			if n, err := unix.Lgetxattr(path, "user.note", value[:]); err == nil {
				fmt.Fprintf(&b, " %q", value[:n])
			}
		case unix.S_IFLNK:
			to, _ := os.Readlink(path)
			b.WriteString(" -> " + to)
		}
		b.WriteString("\n")
		return nil
	}))
	return b.String()
}

// makeTree makes a tree with something of every kind.
func makeTree(t testing.TB, special bool) string {
	t.Helper()
	root := t.TempDir()
	tree := filepath.Join(root, "tree")
	mustDo(t, os.MkdirAll(tree+"/empty", 0o750))
	mustDo(t, os.MkdirAll(tree+"/"+strings.Repeat("long/", 30)+strings.Repeat("n", 200), 0o755))
	mustDo(t, os.WriteFile(tree+"/file", []byte("content\x00\xff"), 0o640))
	mustDo(t, os.WriteFile(tree+"/größe\n\xff", nil, 0o600))
	mustDo(t, os.WriteFile(tree+"/large", bytes.Repeat([]byte("0123456789"), 30000), 0o777))
	mustDo(t, unix.Chmod(tree+"/large", 0o4775))
	mustDo(t, os.Link(tree+"/file", tree+"/name"))
	mustDo(t, os.Symlink("/etc/passwd", tree+"/absolute"))
	mustDo(t, os.Symlink(strings.Repeat("x/", 100), tree+"/dangling"))
	if err := unix.Setxattr(tree+"/large", "user.note", []byte("a=b\n\x00c"), 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
		t.Fatal(err)
	}
	if special {
		mustDo(t, unix.Mkfifo(tree+"/fifo", 0o622))
		if os.Geteuid() == 0 {
			mustDo(t, unix.Mknod(tree+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
			mustDo(t, os.Lchown(tree+"/absolute", 12, 3000000))
			mustDo(t, os.Chown(tree+"/name", 2999999, 7))
		}
	}
	mustDo(t, os.Chmod(tree+"/empty", 0o555))
	for i, name := range []string{"empty", "file", "large"} {
		at := time.Unix(1234567890-int64(i)*2000000000, 987654321)
		mustDo(t, os.Chtimes(tree+"/"+name, at, at))
	}
	return root
}

func TestCopyOfEverything(t *testing.T) {
	root := makeTree(t, true)
	o := mine()
	o.Archive = true
	if os.Geteuid() != 0 {
		t.Skip("needs root for owners and devices")
	}
	dir, err := unpack(t, pack(t, root, "tree", "tree"), o)
	mustDo(t, err)
	if got, want := describe(t, dir), describe(t, root); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// Without Archive, files belong to whoever is told, and nothing special is made.
func TestCopyIsOrdinary(t *testing.T) {
	root := makeTree(t, false)
	dir, err := unpack(t, pack(t, root, "tree/.", "other"), mine())
	mustDo(t, err)
	want := strings.ReplaceAll(describe(t, root), "104775", "100775")
	if got := strings.ReplaceAll(describe(t, dir), "other", "tree"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if os.Geteuid() == 0 {
		dir, err = unpack(t, pack(t, root, "tree", ""), UnpackOptions{UID: 33, GID: 44, Umask: 0o777, SetID: true})
		mustDo(t, err)
		info, err := os.Lstat(dir + "/large")
		mustDo(t, err)
		if info.Mode() != os.ModeSetuid|0o775 {
			t.Errorf("got %v", info.Mode())
		}
		var s unix.Stat_t
		mustDo(t, unix.Lstat(dir+"/absolute", &s))
		if s.Uid != 33 || s.Gid != 44 {
			t.Errorf("a link belongs to %d:%d", s.Uid, s.Gid)
		}
	}
	special := makeTree(t, true)
	if _, err := unpack(t, pack(t, special, "tree", "tree"), mine()); !errors.Is(err, ErrSpecial) {
		t.Errorf("got %v", err)
	}
}

// What we write, others can read, and the other way round.
func TestTarReadsIt(t *testing.T) {
	if _, err := exec.LookPath("tar"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs GNU tar and root")
	}
	root := makeTree(t, true)
	dir := t.TempDir()
	c := exec.Command("tar", "-xp", "--xattrs", "--numeric-owner", "-C", dir)
	c.Stdin = bytes.NewReader(pack(t, root, "tree", "tree"))
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, want := describe(t, dir), describe(t, root); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	c = exec.Command("tar", "-c", "--xattrs", "--format=pax", "-C", root, "tree")
	data, err := c.Output()
	mustDo(t, err)
	o := mine()
	o.Archive = true
	dir, err = unpack(t, data, o)
	mustDo(t, err)
	if got, want := describe(t, dir), describe(t, root); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestSparse(t *testing.T) {
	for name, make := range map[string]func(f *os.File) error{
		"all hole":   func(f *os.File) error { return f.Truncate(1 << 30) },
		"hole first": func(f *os.File) error { _, err := f.WriteAt([]byte("end"), 64<<20); return err },
		"hole last": func(f *os.File) error {
			_, err := f.WriteAt([]byte("begin"), 0)
			return errors.Join(err, f.Truncate(64<<20))
		},
		"islands": func(f *os.File) error {
			for i := range int64(20) {
				if _, err := f.WriteAt([]byte("island"), i*3<<20+i); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			f, err := os.Create(root + "/sparse")
			mustDo(t, err)
			defer f.Close()
			mustDo(t, make(f))
			data := pack(t, root, "sparse", "sparse")
			if len(data) > 1<<20 {
				t.Errorf("the tar has %d bytes", len(data))
			}
			dir, err := unpack(t, data, mine())
			mustDo(t, err)
			var s unix.Stat_t
			mustDo(t, unix.Stat(dir+"/sparse", &s))
			if s.Blocks > 20*256 {
				t.Errorf("%d blocks are taken", s.Blocks)
			}
			if out, err := exec.Command("cmp", root+"/sparse", dir+"/sparse").CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			out := t.TempDir()
			c := exec.Command("tar", "-x", "-C", out)
			c.Stdin = bytes.NewReader(data)
			if text, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			if text, err := exec.Command("cmp", root+"/sparse", out+"/sparse").CombinedOutput(); err != nil {
				t.Errorf("tar: %v: %s", err, text)
			}
		})
	}
}

// An archive that ends early leaves nothing half written.
func TestInterrupted(t *testing.T) {
	root := makeTree(t, false)
	data := pack(t, root, "tree", "tree")
	whole := describe(t, root)
	for cut := 0; cut < len(data)-1024; cut += 7919 {
		dir := t.TempDir()
		r := io.MultiReader(bytes.NewReader(data[:cut]), failing{})
		_, err := Unpack(t.Context(), r, openDir(t, dir), mine())
		if !errors.Is(err, errFailing) {
			t.Errorf("cut at %d: %v", cut, err)
		}
		noTemporary(t, dir)
		if _, err := os.Lstat(dir + "/tree/large"); err == nil {
			if got, err := os.ReadFile(dir + "/tree/large"); err != nil || len(got) != 300000 {
				t.Errorf("cut at %d: %d bytes, %v, of\n%s", cut, len(got), err, whole)
			}
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errFailing)
	if _, err := Unpack(ctx, bytes.NewReader(data), openDir(t, t.TempDir()), mine()); !errors.Is(err, errFailing) {
		t.Errorf("got %v", err)
	}
	if err := Pack(ctx, io.Discard, openDir(t, root), "tree", "tree", PackOptions{}); !errors.Is(err, errFailing) {
		t.Errorf("got %v", err)
	}
}

var errFailing = errors.New("failing")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errFailing }

func TestOverwrite(t *testing.T) {
	root := makeTree(t, false)
	data := pack(t, root, "tree", "tree")
	dir, err := unpack(t, data, mine())
	mustDo(t, err)
	want := describe(t, dir)
	mustDo(t, os.WriteFile(dir+"/tree/kept", nil, 0o600))
	_, err = Unpack(t.Context(), bytes.NewReader(data), openDir(t, dir), mine())
	mustDo(t, err)
	mustDo(t, os.Remove(dir+"/tree/kept"))
	mustDo(t, os.Chtimes(dir+"/tree", time.Unix(0, 0), time.Unix(0, 0)))
	cut := func(s string) string { _, rest, _ := strings.Cut(s, "\n"); return rest }
	if got := describe(t, dir); cut(got) != cut(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	o := mine()
	o.NoOverwrite = true
	before := describe(t, dir)
	if _, err := Unpack(t.Context(), bytes.NewReader(data), openDir(t, dir), o); !errors.Is(err, unix.EEXIST) {
		t.Errorf("got %v", err)
	}
	if got := describe(t, dir); got != before {
		t.Errorf("got\n%swant\n%s", got, before)
	}
	mustDo(t, os.RemoveAll(dir+"/tree"))
	_, err = Unpack(t.Context(), bytes.NewReader(data), openDir(t, dir), o)
	mustDo(t, err)
	noTemporary(t, dir)
}

// Folders and others don't take each other's place.
func TestKindsDiffer(t *testing.T) {
	data := makeTar(t, tar.Header{Typeflag: tar.TypeReg, Name: "a", Mode: 0o644})
	dir := t.TempDir()
	mustDo(t, os.MkdirAll(dir+"/a/b", 0o755))
	if _, err := Unpack(t.Context(), bytes.NewReader(data), openDir(t, dir), mine()); !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EEXIST) {
		t.Errorf("got %v", err)
	}
	noTemporary(t, dir)
	data = makeTar(t, tar.Header{Typeflag: tar.TypeDir, Name: "a/b", Mode: 0o755})
	dir = t.TempDir()
	mustDo(t, os.WriteFile(dir+"/a", nil, 0o644))
	if _, err := Unpack(t.Context(), bytes.NewReader(data), openDir(t, dir), mine()); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("got %v", err)
	}
}

func makeTar(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = 4
		}
		mustDo(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := w.Write([]byte("evil"))
			mustDo(t, err)
		}
	}
	mustDo(t, w.Close())
	return b.Bytes()
}
