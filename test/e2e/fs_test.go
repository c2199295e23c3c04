package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/boxlite-go/boxlite"
)

// TestFS uses one box for all that box.FS can do.
func TestFS(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{User: "1000:1000"})
	files := box.FS(t.Context())
	root := func(script string) {
		t.Helper()
		c := box.Command("sh", "-ec", script)
		c.User = "0"
		if out, err := c.CombinedOutput(t.Context()); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}

	t.Run("TestFS", func(t *testing.T) {
		root(`mkdir -p /tree/a/b/c /tree/empty; echo hello >/tree/a/file; seq 500 >/tree/a/b/numbers
			ln -s a/file /tree/link; ln -s /tree/a /tree/absolute; : >/tree/none; touch "/tree/a/[odd] name"`)
		sub, err := fs.Sub(files, "tree")
		if err != nil {
			t.Fatal(err)
		}
		if err := fstest.TestFS(sub, "a/file", "a/b/numbers", "empty", "link", "none"); err != nil {
			t.Error(err)
		}
	})
	t.Run("WalkDir", func(t *testing.T) {
		seen := map[string]fs.FileMode{}
		err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
			if strings.HasPrefix(name, "proc/") || strings.HasPrefix(name, "sys/") {
				return nil // there, files come and go
			}
			if err != nil {
				return err
			}
			seen[name] = d.Type()
			return nil
		})
		if err != nil || len(seen) < 50 || seen["dev/null"]&fs.ModeCharDevice == 0 || seen["etc/passwd"] != 0 {
			t.Errorf("%d files, %v", len(seen), err)
		}
	})
	t.Run("Errors", func(t *testing.T) {
		root("mkfifo /tmp/fifo; ln -s /proc/self/exe /tmp/magic; ln -s loop /tmp/loop")
		for name, want := range map[string]error{
			"nosuch": fs.ErrNotExist, "etc/passwd/x": boxlite.ErrInvalidArgument, "tmp/fifo": boxlite.ErrUnsupported,
			"dev/zero": boxlite.ErrUnsupported, "tmp/loop": boxlite.ErrInvalidArgument, "/etc": fs.ErrInvalid, "../etc": fs.ErrInvalid,
		} {
			_, err := files.Open(name)
			if _, ok := errors.AsType[*fs.PathError](err); !ok || !errors.Is(err, want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := files.Open("tmp/magic"); err == nil {
			t.Error("a magic link was followed")
		}
		if _, err := files.Stat("nosuch"); !errors.Is(err, boxlite.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		if _, err := files.ReadDir("etc/passwd"); !errors.Is(err, boxlite.ErrInvalidArgument) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("Write", func(t *testing.T) { testFSWrite(t, box, files) })
	t.Run("Large", func(t *testing.T) {
		root("head -c 20000000 /dev/urandom >/large")
		sum, err := box.Command("sha256sum", "/large").Output(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f, err := files.Open("large")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		h := sha256.New()
		if n, err := io.Copy(h, f); err != nil || n != 20000000 {
			t.Fatalf("%d bytes, %v", n, err)
		}
		if got := h.Sum(nil); !strings.HasPrefix(string(sum), hexOf(got)) {
			t.Errorf("got %x, want %s", got, sum)
		}
		// Through small reads, it is the same.
		if _, err := f.(io.Seeker).Seek(19999000, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(io.LimitReader(f, 1<<20))
		at := make([]byte, 2000)
		n, e := f.(io.ReaderAt).ReadAt(at, 19999000)
		if err != nil || !errors.Is(e, io.EOF) || n != 1000 || !bytes.Equal(rest, at[:n]) {
			t.Errorf("%d bytes, %v; %d bytes, %v", len(rest), err, n, e)
		}
	})
	t.Run("Proc", func(t *testing.T) {
		text, err := files.ReadFile("proc/1/comm")
		if err != nil || string(text) != "boxlite-init\n" {
			t.Errorf("got %q, %v", text, err)
		}
	})
	t.Run("Watch", func(t *testing.T) { testFSWatch(t, box, files) })
	t.Run("Context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := box.FS(ctx).Stat("etc"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("Stop", func(t *testing.T) {
		f, err := files.OpenFile("tmp/open", os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("kept")); err != nil {
			t.Error(err)
		}
		// A file that is open doesn't keep the box from ending in good order.
		if err := box.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := f.Write([]byte("x")); !errors.Is(err, boxlite.ErrStopped) {
			t.Errorf("got %v", err)
		}
		if text, err := files.ReadFile("tmp/open"); err != nil || string(text) != "kept" {
			t.Errorf("got %q, %v", text, err)
		}
	})
}

func hexOf(p []byte) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for _, c := range p {
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}

func testFSWrite(t *testing.T, box *boxlite.Box, files *boxlite.FS) {
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	is := func(name, want string) {
		t.Helper()
		if got, err := files.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	check(files.MkdirAll("work/a/b", 0o750))
	check(files.MkdirAll("work/a/b", 0o750))
	check(files.Mkdir("work/c", 0o700))
	if err := files.Mkdir("work/c", 0o700); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	check(files.WriteFile("work/a/file", []byte("one"), 0o600))
	is("work/a/file", "one")
	check(files.WriteFile("work/a/file", []byte("2"), 0o600))
	is("work/a/file", "2")
	out, err := box.Command("stat", "-c", "%u:%g %a", "/work/a/file", "/work/a/b").Output(t.Context())
	if err != nil || string(out) != "1000:1000 600\n1000:1000 750\n" {
		t.Errorf("got %q, %v", out, err)
	}
	check(files.Chmod("work/a/file", 0o640|fs.ModeSetgid))
	at := time.Unix(1234567890, 123456789)
	check(files.Chtimes("work/a/file", time.Time{}, at))
	check(files.Chown("work/a/file", 7, -1))
	info, err := files.Stat("work/a/file")
	if err != nil || info.Mode() != 0o640 && info.Mode() != 0o640|fs.ModeSetgid || !info.ModTime().Equal(at) {
		t.Errorf("%v, %v", info, err)
	}
	if s := info.Sys().(*boxlite.FileStat); s.UID != 7 || s.GID != 1000 || s.Links != 1 {
		t.Errorf("got %+v", s)
	}
	check(files.Symlink("a/file", "work/link"))
	if to, err := files.ReadLink("work/link"); err != nil || to != "a/file" {
		t.Errorf("got %q, %v", to, err)
	}
	is("work/link", "2")
	check(files.Link("work/a/file", "work/name"))
	check(files.Rename("work/name", "work/a/other"))
	check(files.Truncate("work/a/other", 3))
	is("work/a/file", "2\x00\x00")
	f, err := files.OpenFile("work/log", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"a\n", "b\n"} {
		_, err := f.Write([]byte(text))
		check(err)
	}
	check(f.Sync())
	check(f.Close())
	if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("got %v", err)
	}
	is("work/log", "a\nb\n")
	if _, err := files.OpenFile("work/log", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	f, err = files.Create("work/random")
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("end"), 1<<20)
	check(err)
	_, err = f.Write([]byte("begin"))
	check(err)
	check(f.Truncate(1<<20 + 2))
	check(f.Close())
	out, err = box.Command("sh", "-c", "wc -c </work/random; head -c 5 /work/random; tail -c 2 /work/random").Output(t.Context())
	if err != nil || string(out) != "1048578\nbeginen" {
		t.Errorf("got %q, %v", out, err)
	}
	if err := files.Remove("work/a"); err == nil {
		t.Error("a folder with files was removed")
	}
	check(files.Remove("work/link"))
	check(files.Remove("work/c"))
	check(files.RemoveAll("work"))
	check(files.RemoveAll("work"))
	if _, err := files.Lstat("work"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{".", "proc"} {
		if err := files.RemoveAll(name); err == nil {
			t.Errorf("%s was removed", name)
		}
	}
}

func testFSWatch(t *testing.T, box *boxlite.Box, files *boxlite.FS) {
	if err := files.MkdirAll("watched/below", 0o777); err != nil {
		t.Fatal(err)
	}
	script := `cd /watched; echo x >f; chmod 600 f; mv f g; rm g; echo y >below/h; mkdir new; until rm new/i 2>/dev/null; do echo >new/i; done`
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ran := make(chan error, 1)
	o := boxlite.WatchOptions{Recursive: true, Ready: func() {
		c := box.Command("sh", "-c", script)
		c.User = "0"
		go func() { ran <- c.Run(ctx) }()
	}}
	var got []string
	var cookie uint32
	for e, err := range files.Watch(ctx, "watched", o) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Op.Has(boxlite.FileMovedFrom) {
			cookie = e.Cookie
		}
		if e.Op.Has(boxlite.FileMovedTo) && e.Cookie != cookie {
			t.Errorf("the halves of a move have cookies %d and %d", cookie, e.Cookie)
		}
		got = append(got, e.Op.String()+" "+e.Name)
		if e.Name == "watched/new" {
			break
		}
	}
	if err := <-ran; err != nil {
		t.Error(err)
	}
	want := []string{
		"create watched/f", "modify watched/f", "attributes watched/f", "moved-from watched/f", "moved-to watched/g",
		"delete watched/g", "create watched/below/h", "modify watched/below/h", "create watched/new",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	for _, err := range files.Watch(ctx, "nosuch", boxlite.WatchOptions{}) {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	}
}
