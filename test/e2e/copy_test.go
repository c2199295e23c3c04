package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
)

// TestCopy uses one box for all kinds of copies.
func TestCopy(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{User: "1000:1000"})
	root := func(script string) string {
		t.Helper()
		c := box.Command("sh", "-ec", script)
		c.User = "0"
		out, err := c.CombinedOutput(t.Context())
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	in := func(from, to string, o boxlite.CopyOptions) error {
		t.Helper()
		return box.CopyIn(t.Context(), from, to, o)
	}
	var none boxlite.CopyOptions

	t.Run("Rules", func(t *testing.T) { testCopyRules(t, box, root) })
	t.Run("Everything", func(t *testing.T) {
		dir := t.TempDir()
		tree := filepath.Join(dir, "tree")
		try(t, os.MkdirAll(tree+"/sub", 0o755), os.WriteFile(tree+"/file", []byte("text"), 0o600),
			os.Chmod(tree+"/file", 0o751|os.ModeSetuid), os.Link(tree+"/file", tree+"/sub/name"), os.Symlink("file", tree+"/link"))
		at := time.Unix(1234567890, 987654321)
		try(t, os.Chtimes(tree+"/file", at, at))
		noXattrs := exec.Command("setfattr", "-n", "user.note", "-v", "kept", tree+"/file").Run()
		sparse, err := os.Create(tree + "/sparse")
		try(t, err)
		_, err = sparse.WriteAt([]byte("end"), 1<<30)
		try(t, err, sparse.Close())
		began := time.Now()
		try(t, in(tree, "/home", none))
		t.Logf("the copy with 1 GiB of hole takes %v", time.Since(began))
		got := root(`cd /home/tree; stat -c '%n %A %u:%g %h %Y' file sub/name link; stat -c %y file; readlink link
			stat -c '%s' sparse; [ $(stat -c %b sparse) -lt 4096 ] && tail -c 3 sparse`)
		want := "file -rwsr-x--x 1000:1000 2 1234567890\nsub/name -rwsr-x--x 1000:1000 2 1234567890\n"
		if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "file\n1073741827\nend") || !strings.Contains(got, ".987654321") {
			t.Errorf("got\n%s", got)
		}
		back := t.TempDir()
		try(t, box.CopyOut(t.Context(), "/home/tree", back, boxlite.CopyOptions{Archive: os.Geteuid() == 0}))
		info, err := os.Stat(back + "/tree/file")
		try(t, err)
		name, err := os.Stat(back + "/tree/sub/name")
		try(t, err)
		if !os.SameFile(info, name) || !info.ModTime().Equal(at) || info.Mode().Perm() != 0o751 {
			t.Errorf("got %v, %v", info, name)
		}
		if os.Geteuid() == 0 && (info.Mode()&os.ModeSetuid == 0 || info.Sys().(*syscall.Stat_t).Uid != 1000) {
			t.Errorf("got %v", info)
		}
		if out, err := exec.Command("getfattr", "--only-values", "-n", "user.note", back+"/tree/file").Output(); noXattrs == nil && string(out) != "kept" {
			t.Errorf("the attribute is %q, %v", out, err)
		}
		hole, err := os.Stat(back + "/tree/sparse")
		try(t, err)
		if s := hole.Sys().(*syscall.Stat_t); hole.Size() != 1<<30+3 || s.Blocks > 8192 {
			t.Errorf("%d bytes in %d blocks", hole.Size(), s.Blocks)
		}
		// Without Archive, it is an ordinary file of mine.
		try(t, box.CopyOut(t.Context(), "/home/tree/file", back+"/mine", none))
		info, err = os.Stat(back + "/mine")
		try(t, err)
		if info.Mode() != 0o751 || int(info.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() {
			t.Errorf("got %v", info)
		}
	})
	t.Run("Mounts", func(t *testing.T) {
		dir := t.TempDir()
		try(t, os.WriteFile(dir+"/f", []byte("seen"), 0o644))
		for _, to := range []string{"/tmp/f", "/dev/shm/f"} {
			try(t, in(dir+"/f", to, none))
			if got := root("cat " + to); got != "seen" {
				t.Errorf("%s: %q", to, got)
			}
			try(t, box.CopyOut(t.Context(), to, dir+"/back", none))
		}
		if err := in(dir+"/f", "/etc/hosts", none); !errors.Is(err, syscall.EBUSY) || boxlite.HintOf(err) == "" {
			t.Errorf("got %v", err)
		}
		if got := root("cat /etc/hosts; grep -c /etc/hosts /proc/mounts"); !strings.Contains(got, "localhost") || !strings.HasSuffix(got, "1\n") {
			t.Errorf("got %q", got)
		}
		if err := in(dir+"/f", "/proc/f", none); err == nil {
			t.Error("a file was copied into /proc")
		}
	})
	t.Run("LinksOfTheBox", func(t *testing.T) {
		outside := t.TempDir()
		try(t, os.WriteFile(outside+"/secret", []byte("precious"), 0o644))
		root(fmt.Sprintf(`mkdir /trap; cd /trap; ln -s %s out; ln -s ../../../../../..%[1]s up; ln -s /proc/1/root magic
			ln -s %[1]s/secret file; mkdir -p /trap/tree; ln -s %[1]s tree/out`, outside))
		dir := t.TempDir()
		for _, name := range []string{"out/secret", "up/secret", "magic/etc/passwd", "magic/" + outside + "/secret"} {
			if err := box.CopyOut(t.Context(), "/trap/"+name, dir+"/got", boxlite.CopyOptions{FollowSymlinks: true}); err == nil {
				t.Errorf("%s was copied", name)
			}
		}
		try(t, os.WriteFile(dir+"/evil", []byte("evil"), 0o644))
		for _, to := range []string{"/trap/out/x", "/trap/up/x", "/trap/magic/x", "/trap/tree/out/x"} {
			if err := in(dir+"/evil", to, none); err == nil {
				t.Errorf("%s was written", to)
			}
		}
		// A link in the box's tree, and one of mine in its place.
		try(t, os.Mkdir(dir+"/tree", 0o755), os.Symlink(outside, dir+"/tree/sub"))
		root("mkdir -p /tree/tree/sub; echo evil >/tree/tree/sub/secret")
		if err := box.CopyOut(t.Context(), "/tree/tree", dir, none); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("got %v", err)
		}
		if got, err := os.ReadFile(outside + "/secret"); string(got) != "precious" {
			t.Errorf("the secret is %q, %v", got, err)
		}
		if names, err := os.ReadDir(outside); len(names) != 1 {
			t.Errorf("outside are %v, %v", names, err)
		}
	})
	t.Run("Special", func(t *testing.T) {
		root("mkdir /special; mkfifo /special/fifo; echo x >/special/file")
		err := box.CopyOut(t.Context(), "/special", t.TempDir(), none)
		if !errors.Is(err, boxlite.ErrInvalidArgument) || !strings.Contains(boxlite.HintOf(err), "archive") {
			t.Errorf("got %v, hint %q", err, boxlite.HintOf(err))
		}
		if os.Geteuid() == 0 {
			dir := t.TempDir()
			try(t, box.CopyOut(t.Context(), "/special", dir, boxlite.CopyOptions{Archive: true}))
			if info, err := os.Lstat(dir + "/special/fifo"); err != nil || info.Mode().Type() != fs.ModeNamedPipe {
				t.Errorf("got %v, %v", info, err)
			}
			try(t, in(dir+"/special", "/again", boxlite.CopyOptions{Archive: true}))
			if got := root("stat -c %F /again/fifo"); got != "fifo\n" {
				t.Errorf("got %q", got)
			}
		}
		if err := in("/dev/null", "/null", none); !errors.Is(err, boxlite.ErrInvalidArgument) || boxlite.HintOf(err) == "" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("ManyFiles", func(t *testing.T) { testCopyMany(t, box, root) })
	t.Run("Interrupted", func(t *testing.T) { testCopyInterrupted(t, box, root) })
	t.Run("Tar", func(t *testing.T) { testCopyTar(t, box, root) })
	t.Run("Root", func(t *testing.T) {
		root("rm -rf /special /again")
		dir := t.TempDir()
		try(t, box.CopyOut(t.Context(), "/", dir+"/root", none))
		if names, err := os.ReadDir(dir + "/root/proc"); err != nil || len(names) != 0 {
			t.Errorf("%d files of /proc, %v", len(names), err)
		}
		if _, err := os.Stat(dir + "/root/etc/passwd"); err != nil {
			t.Error(err)
		}
	})
	t.Run("Events", func(t *testing.T) {
		var last boxlite.Event
		for e, err := range rt.Events(t.Context(), boxlite.EventOptions{Types: []boxlite.EventType{boxlite.EventCopiedOut}}) {
			try(t, err)
			last = e
		}
		if last.Box != box.ID() || last.BoxPath != "/" || filepath.Base(last.HostPath) != "root" {
			t.Errorf("got %+v", last)
		}
	})
}

func try(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func testCopyRules(t *testing.T, box *boxlite.Box, root func(string) string) {
	dir := t.TempDir()
	try(t, os.MkdirAll(dir+"/d/e", 0o755), os.WriteFile(dir+"/d/f", []byte("in d"), 0o644), os.WriteFile(dir+"/f", []byte("f"), 0o644),
		os.Symlink("f", dir+"/l"), os.Symlink("d", dir+"/ld"))
	for _, c := range []struct {
		before, from, to string
		o                boxlite.CopyOptions
		want             string // what find prints in /r
		err              error
	}{
		{"", "f", "/r/new", boxlite.CopyOptions{}, "new", nil},
		{"", "f", "/r/", boxlite.CopyOptions{}, "f", nil},
		{"", "f", "r", boxlite.CopyOptions{}, "f", nil},
		{"", "f", "/r/new/", boxlite.CopyOptions{}, "", boxlite.ErrInvalidArgument},
		{"", "f", "/r/no/new", boxlite.CopyOptions{}, "", fs.ErrNotExist},
		{"echo >x", "f", "/r/x", boxlite.CopyOptions{}, "x", nil},
		{"echo >x", "f", "/r/x", boxlite.CopyOptions{NoOverwrite: true}, "x", boxlite.ErrAlreadyExists},
		{"echo >x", "f", "/r/x/", boxlite.CopyOptions{}, "x", boxlite.ErrInvalidArgument},
		{"echo >x; ln -s x l", "f", "/r/l", boxlite.CopyOptions{}, "l x", nil},
		{"mkdir f", "f", "/r", boxlite.CopyOptions{}, "f", boxlite.ErrInvalidArgument},
		{"", "d", "/r/new", boxlite.CopyOptions{}, "new new/e new/f", nil},
		{"", "d", "/r/new/", boxlite.CopyOptions{}, "new new/e new/f", nil},
		{"", "d", "/r", boxlite.CopyOptions{}, "d d/e d/f", nil},
		{"", "d/", "/r", boxlite.CopyOptions{}, "d d/e d/f", nil},
		{"", "d/.", "/r", boxlite.CopyOptions{}, "e f", nil},
		{"", "d", "/r", boxlite.CopyOptions{NoIncludeParent: true}, "e f", nil},
		{"", "d/.", "/r/new", boxlite.CopyOptions{}, "new new/e new/f", nil},
		{"echo >x", "d", "/r/x", boxlite.CopyOptions{}, "x", boxlite.ErrInvalidArgument},
		{"echo >d", "d", "/r", boxlite.CopyOptions{}, "d", boxlite.ErrInvalidArgument},
		{"mkdir -p d/e/x", "d", "/r", boxlite.CopyOptions{NoOverwrite: true}, "d d/e d/e/x d/f", nil},
		{"mkdir -p a; ln -s a l", "f", "/r/l", boxlite.CopyOptions{}, "a a/f l", nil},
		{"", "l", "/r", boxlite.CopyOptions{}, "l", nil},
		{"", "l", "/r", boxlite.CopyOptions{FollowSymlinks: true}, "l", nil},
		{"", "ld", "/r", boxlite.CopyOptions{}, "ld", nil},
		{"", "ld/", "/r", boxlite.CopyOptions{}, "ld ld/e ld/f", nil},
		{"", "nosuch", "/r", boxlite.CopyOptions{}, "", fs.ErrNotExist},
		{"", "f/", "/r", boxlite.CopyOptions{}, "", boxlite.ErrInvalidArgument},
		{"", "f", "", boxlite.CopyOptions{}, "", boxlite.ErrInvalidArgument},
	} {
		root("rm -rf /r; mkdir /r; cd /r; " + c.before)
		err := box.CopyIn(t.Context(), dir+"/"+c.from, c.to, c.o)
		if !errors.Is(err, c.err) || c.err == nil && err != nil {
			t.Errorf("%s to %q: %v, want %v", c.from, c.to, err, c.err)
		}
		if _, ok := errors.AsType[*boxlite.Error](err); err != nil && !ok {
			t.Errorf("%T", err)
		}
		if got := strings.Join(strings.Fields(root("cd /r; find . -mindepth 1 | cut -c 3- | sort")), " "); got != c.want {
			t.Errorf("%s to %q: %s, want %s", c.from, c.to, got, c.want)
		}
		// The other way round, the same.
		host := t.TempDir()
		if c.err != nil || strings.HasPrefix(c.to, "r") {
			continue
		}
		try(t, os.Mkdir(host+"/r", 0o755))
		script := exec.Command("sh", "-ec", c.before)
		script.Dir = host + "/r"
		try(t, script.Run())
		root("rm -rf /src; mkdir -p /src/d/e; cd /src; echo f >f; echo f >d/f; ln -s f l; ln -s d ld")
		if err := box.CopyOut(t.Context(), "/src/"+c.from, host+c.to, c.o); err != nil {
			t.Errorf("out: %s to %q: %v", c.from, c.to, err)
		}
		find := exec.Command("sh", "-ec", "find . -mindepth 1 | cut -c 3- | sort")
		find.Dir = host + "/r"
		out, err := find.Output()
		if got := strings.Join(strings.Fields(string(out)), " "); got != c.want {
			t.Errorf("out: %s to %q: %s, want %s, %v", c.from, c.to, got, c.want, err)
		}
	}
}

func testCopyMany(t *testing.T, box *boxlite.Box, root func(string) string) {
	const count = 10_000
	tree := filepath.Join(t.TempDir(), "many")
	for i := range count {
		dir := fmt.Sprintf("%s/%d", tree, i%50)
		if i < 50 {
			try(t, os.MkdirAll(dir, 0o755))
		}
		try(t, os.WriteFile(fmt.Sprintf("%s/%d", dir, i), []byte(fmt.Sprint(i)), 0o644))
	}
	try(t, box.CopyIn(t.Context(), tree, "/dev/shm", boxlite.CopyOptions{}))
	if got := root("find /dev/shm/many -type f | wc -l; cat /dev/shm/many/49/9999"); got != "10000\n9999" {
		t.Errorf("got %q", got)
	}
	back := t.TempDir()
	try(t, box.CopyOut(t.Context(), "/dev/shm/many/.", back, boxlite.CopyOptions{}))
	if out, err := exec.Command("diff", "-r", tree, back).CombinedOutput(); err != nil {
		t.Errorf("%v: %.1000s", err, out)
	}
	root("rm -r /dev/shm/many")
}

// testCopyInterrupted ends copies halfway, on both sides.
func testCopyInterrupted(t *testing.T, box *boxlite.Box, root func(string) string) {
	dir := t.TempDir()
	try(t, os.WriteFile(dir+"/big", bytes.Repeat([]byte("0123456789abcdef"), 2<<20), 0o644))
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("changed my mind")
	root("mkdir /half; echo old >/half/big")
	err := box.CopyIn(ctx, dir+"/big", "/half/big", boxlite.CopyOptions{Progress: func(n int64) {
		if n > 1<<20 {
			cancel(why)
		}
	}})
	if !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	if got := root("ls -A /half; cat /half/big"); got != "big\nold\n" {
		t.Errorf("got %q", got)
	}
	root("head -c 30000000 /dev/zero >/half/big")
	ctx, cancel = context.WithCancelCause(t.Context())
	out := t.TempDir()
	err = box.CopyOut(ctx, "/half/big", out, boxlite.CopyOptions{Progress: func(n int64) {
		if n > 1<<20 {
			cancel(why)
		}
	}})
	if names, e := os.ReadDir(out); !errors.Is(err, why) || e != nil || len(names) != 0 {
		t.Errorf("got %v, %v", names, err)
	}
	// The box ends meanwhile: that isn't held up, and what was half written is gone.
	ended := make(chan error, 1)
	var once sync.Once
	kill := func(n int64) {
		if n > 1<<20 {
			once.Do(func() { go func() { ended <- box.Kill(context.WithoutCancel(t.Context())) }() })
		}
	}
	endless := io.MultiReader(bytes.NewReader(endlessTar(t)), zeros{})
	err = box.CopyTarIn(t.Context(), endless, "/half", boxlite.CopyOptions{Progress: kill})
	if e := <-ended; !errors.Is(err, boxlite.ErrStopped) || e != nil {
		t.Errorf("got %v, %v", err, e)
	}
	if got := root("ls -A /half"); got != "big\n" {
		t.Errorf("got %q", got)
	}
	once = sync.Once{}
	err = box.CopyOut(t.Context(), "/half/big", out, boxlite.CopyOptions{Progress: kill})
	if e := <-ended; e != nil || err != nil && !errors.Is(err, boxlite.ErrStopped) {
		t.Errorf("got %v, %v", err, e)
	}
	if names, e := os.ReadDir(out); e != nil || err != nil && len(names) != 0 {
		t.Errorf("got %v, %v", names, e)
	}
	broken := io.MultiReader(bytes.NewReader(endlessTar(t)), failing{})
	if err := box.CopyTarIn(t.Context(), broken, "/half", boxlite.CopyOptions{}); !errors.Is(err, errFailing) {
		t.Errorf("got %v", err)
	}
}

// endlessTar is the beginning of a tar with a file of 1 TiB.
func endlessTar(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	try(t, tar.NewWriter(&b).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "huge", Mode: 0o644, Size: 1 << 40}))
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func testCopyTar(t *testing.T, box *boxlite.Box, root func(string) string) {
	root("mkdir -p /tars/sub; echo x >/tars/sub/x; mkdir /tars/into")
	var b bytes.Buffer
	try(t, box.CopyTarOut(t.Context(), "/tars/sub", &b, boxlite.CopyOptions{}))
	r := tar.NewReader(bytes.NewReader(b.Bytes()))
	for _, want := range []string{"sub/", "sub/x"} {
		if h, err := r.Next(); err != nil || h.Name != want {
			t.Errorf("got %+v, %v", h, err)
		}
	}
	try(t, box.CopyTarIn(t.Context(), &b, "/tars/into", boxlite.CopyOptions{}))
	if got := root("cat /tars/into/sub/x"); got != "x\n" {
		t.Errorf("got %q", got)
	}
	b.Reset()
	w := tar.NewWriter(&b)
	try(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "/etc"}),
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "l/evil"}), w.Close())
	if err := box.CopyTarIn(t.Context(), &b, "/tars", boxlite.CopyOptions{}); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("got %v", err)
	}
	if err := box.CopyTarIn(t.Context(), strings.NewReader("no tar"), "/tars", boxlite.CopyOptions{}); err == nil {
		t.Error("it was unpacked")
	}
	if err := box.CopyTarIn(t.Context(), strings.NewReader(""), "/nosuch", boxlite.CopyOptions{}); !errors.Is(err, boxlite.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
