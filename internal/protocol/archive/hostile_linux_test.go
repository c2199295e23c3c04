package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// outside makes a folder with something worth attacking next to the one that is
// unpacked into, and checks at the end that it is as it was.
func outside(t testing.TB) (into int, dir string) {
	t.Helper()
	top := t.TempDir()
	secret := filepath.Join(top, "secret")
	mustDo(t, os.Mkdir(secret, 0o700))
	mustDo(t, os.WriteFile(secret+"/file", []byte("precious"), 0o600))
	dir = filepath.Join(top, "into")
	mustDo(t, os.Mkdir(dir, 0o755))
	mustDo(t, os.Symlink("../secret", dir+"/there"))
	before := describe(t, secret)
	var was unix.Stat_t
	mustDo(t, unix.Stat(secret, &was))
	t.Cleanup(func() {
		if got := describe(t, secret); got != before {
			t.Errorf("what is outside has become\n%s", got)
		}
		var is unix.Stat_t
		mustDo(t, unix.Stat(secret, &is))
		if is.Mode != was.Mode || is.Mtim != was.Mtim || is.Uid != was.Uid {
			t.Error("the folder outside was changed")
		}
		if names, err := os.ReadDir(top); err != nil || len(names) != 2 {
			t.Errorf("outside are %v, %v", names, err)
		}
		unlock(t, dir)
		noTemporary(t, dir)
	})
	return openDir(t, dir), dir
}

// unlock makes folders readable for those who aren't root.
func unlock(t testing.TB, dir string) {
	t.Helper()
	mustDo(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o755)
		}
		return err
	}))
}

func TestHostileArchives(t *testing.T) {
	link := func(name, to string) tar.Header {
		return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
	}
	hard := func(name, to string) tar.Header { return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to} }
	file := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644} }
	folder := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o777} }
	for name, headers := range map[string][]tar.Header{
		"upwards":                  {file("../secret/file")},
		"upwards below":            {file("a/../../secret/file")},
		"upwards folder":           {folder("..")},
		"through a link":           {link("l", "../secret"), file("l/file")},
		"through an absolute link": {link("l", "/"), file("l/tmp/boxlite-escaped")},
		"through a link to here":   {link("l", "."), file("l/../../secret/file")},
		"folder over a link":       {link("l", "../secret"), folder("l")},
		"through what is there":    {file("there/file")},
		"folder that is there":     {folder("there")},
		"hard link upwards":        {hard("h", "../secret/file")},
		"hard link through a link": {link("l", "../secret"), hard("h", "l/file")},
		"hard link that is there":  {hard("h", "there/file"), file("h")},
		"hard link to nothing":     {hard("h", "nothing")},
		"hard link to the folder":  {hard("h", ".")},
		"device":                   {{Typeflag: tar.TypeBlock, Name: "sda", Devmajor: 8}},
		"FIFO":                     {{Typeflag: tar.TypeFifo, Name: "fifo"}},
		"long name":                {file(strings.Repeat("n", 300))},
		"long path":                {file(strings.Repeat("n/", 3000) + "n")},
		"deep":                     {folder(strings.Repeat("n/", 300))},
		"file as the folder":       {file("/.")},
		"unknown kind":             {{Typeflag: 'Z', Name: "z"}},
	} {
		t.Run(name, func(t *testing.T) {
			into, _ := outside(t)
			data := makeTar(t, headers...)
			if _, err := Unpack(t.Context(), bytes.NewReader(data), into, mine()); err == nil {
				t.Error("it was unpacked")
			}
		})
	}
	t.Run("file over a link", func(t *testing.T) {
		into, dir := outside(t)
		data := makeTar(t, file("there"), link("x", "../secret/file"), file("x"), hard("y", "x"))
		_, err := Unpack(t.Context(), bytes.NewReader(data), into, mine())
		mustDo(t, err)
		for _, name := range []string{"there", "x", "y"} {
			if info, err := os.Lstat(filepath.Join(dir, name)); err != nil || !info.Mode().IsRegular() {
				t.Errorf("%s: %v, %v", name, info, err)
			}
		}
	})
	t.Run("absolute", func(t *testing.T) {
		into, dir := outside(t)
		_, err := Unpack(t.Context(), bytes.NewReader(makeTar(t, file("/secret/file"))), into, mine())
		mustDo(t, err)
		if _, err := os.Lstat(dir + "/secret/file"); err != nil {
			t.Error(err)
		}
	})
	t.Run("hard link to a link", func(t *testing.T) {
		into, dir := outside(t)
		_, err := Unpack(t.Context(), bytes.NewReader(makeTar(t, hard("h", "there"))), into, mine())
		mustDo(t, err)
		if to, err := os.Readlink(dir + "/h"); err != nil || to != "../secret" {
			t.Errorf("got %q, %v", to, err)
		}
	})
	t.Run("other names", func(t *testing.T) {
		for _, h := range []tar.Header{file("other"), folder("other"), file("."), hard("asked", "there")} {
			into, _ := outside(t)
			o := mine()
			o.Only = "asked"
			if _, err := Unpack(t.Context(), bytes.NewReader(makeTar(t, h)), into, o); !errors.Is(err, ErrOutside) {
				t.Errorf("%s: %v", h.Name, err)
			}
		}
	})
	t.Run("owner", func(t *testing.T) {
		into, _ := outside(t)
		h := file("f")
		h.Uid, h.Format = -1, tar.FormatGNU
		o := mine()
		o.Archive = true
		if _, err := Unpack(t.Context(), bytes.NewReader(makeTar(t, h)), into, o); !errors.Is(err, unix.EOVERFLOW) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("large record", func(t *testing.T) {
		into, _ := outside(t)
		record := appendRecord(nil, "path", strings.Repeat("n/", 8<<20))
		data := appendUstar(nil, &entry{kind: 'x', name: "x", size: int64(len(record)), real: -1})
		data = appendPadding(append(data, record...), int64(len(record)))
		if _, err := Unpack(t.Context(), bytes.NewReader(data), into, mine()); err == nil {
			t.Error("it was unpacked")
		}
	})
}

// Packing neither blocks at nor opens what isn't a file, and stays inside.
func TestPackHostileTree(t *testing.T) {
	root := t.TempDir()
	mustDo(t, unix.Mkfifo(root+"/fifo", 0o644))
	mustDo(t, os.Symlink("/etc", root+"/etc"))
	deep := root + "/deep"
	mustDo(t, os.MkdirAll(deep+"/"+strings.Repeat("d/", 300), 0o755))
	if err := Pack(t.Context(), io.Discard, openDir(t, root), "deep", "deep", PackOptions{}); !errors.Is(err, errTooDeep) {
		t.Errorf("got %v", err)
	}
	mustDo(t, os.RemoveAll(deep))
	r := tar.NewReader(bytes.NewReader(pack(t, root, ".", "top")))
	var names []string
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		mustDo(t, err)
		names = append(names, h.Name)
	}
	if len(names) != 3 {
		t.Errorf("got %q", names)
	}
	if err := Pack(t.Context(), io.Discard, openDir(t, root), "etc", "", PackOptions{}); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("got %v", err)
	}
	if err := Pack(t.Context(), io.Discard, openDir(t, root), "none", "none", PackOptions{}); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v", err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(makeTar(f, tar.Header{Typeflag: tar.TypeDir, Name: "d"}, tar.Header{Typeflag: tar.TypeReg, Name: "d/f"}))
	f.Add(makeTar(f, tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "../secret"}, tar.Header{Typeflag: tar.TypeReg, Name: "l/file"}))
	f.Add(makeTar(f, tar.Header{Typeflag: tar.TypeLink, Name: "h", Linkname: "there/file"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		into, _ := outside(t)
		o := mine()
		o.SetID = true
		_, _ = Unpack(t.Context(), bytes.NewReader(data), into, o) // whatever comes of it, outside checks
	})
}
