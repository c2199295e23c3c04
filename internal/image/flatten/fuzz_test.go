package flatten

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// FuzzLayers flattens whatever comes, over a layer that gives it something to
// replace. It must not panic, and what it accepts must be a file system.
func FuzzLayers(f *testing.F) {
	lower := layerOf(f, file("d/a", "1"), hard("b", "d/a"), sym("l", "d"), dir("e"))
	f.Add(layerOf(f, file("a", "1"), dir("d"), sym("l/x", "../e"), hard("c", "d/a"), file("d/.wh.a", ""), file("l/.wh..wh..opq", "")))
	f.Add(layerOf(f, file("a", "x").with(func(h *tar.Header) {
		h.PAXRecords = map[string]string{"SCHILY.xattr.user.a": "b", "SCHILY.xattr." + aclAccess: "\x02\x00\x00\x00"}
	})))
	f.Add(sparseTar(f, "s", 1<<16, "end"))
	f.Add(gzipped(f, lower))
	f.Add(zstandard(f, lower))
	dir := f.TempDir()
	limits := Limits{Bytes: 1 << 22, Entries: 1000, Metadata: 1 << 20, Depth: 20}
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := os.Create(filepath.Join(dir, fmt.Sprint(os.Getpid())))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		err = Write(t.Context(), out, []Layer{plain("0", lower), plain("1", b)}, limits, nil)
		if err != nil {
			if kind := protocol.KindOf(err); kind != protocol.KindImage && kind != protocol.KindResourceExhausted {
				t.Errorf("the kind of %v is %q", err, kind)
			}
			return
		}
		magic := make([]byte, 2)
		if _, err := out.ReadAt(magic, 1024+56); err != nil || !bytes.Equal(magic, []byte{0x53, 0xef}) {
			t.Errorf("no file system: %x, %v", magic, err)
		}
	})
}

// FuzzMembers makes layers of few names that get in each other's way, three bytes
// a member. What is accepted must be a sound file system.
func FuzzMembers(f *testing.F) {
	names := []string{
		"a", "b", "a/b", "a/b/c", "b/a", "l", "l/a", "l/l/b", ".", "/.", "lost+found", "lost+found/a", "../a",
		".wh.a", ".wh.b", "a/.wh.b", "a/b/.wh.c", "l/.wh.a", ".wh.l", ".wh..wh..opq", "a/.wh..wh..opq", "l/.wh..wh..opq",
		"/a/../b", "../../a", "a/../../b", "l/../b",
	}
	types := []byte{tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink, tar.TypeChar, tar.TypeFifo}
	const nextLayer = 255
	f.Add([]byte{1, 0, 0, 0, 2, 0, 2, 5, 0, nextLayer, 0, 0, 0, 6, 0, 0, 13, 0, 3, 1, 2})
	f.Add([]byte{0, 3, 0, nextLayer, 0, 0, 0, 20, 0, 0, 2, 0, nextLayer, 0, 0, 0, 16, 0, 3, 1, 3})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, script []byte) {
		var layers []Layer
		var members []member
		for ; len(script) >= 3 && len(layers) < 8; script = script[3:] {
			if script[0] == nextLayer {
				layers, members = append(layers, plain("lower", layerOf(t, members...))), nil
				continue
			}
			m := member{Header: tar.Header{
				Typeflag: types[int(script[0])%len(types)], Mode: int64(script[2]), Uid: int(script[2]),
				Name: names[int(script[1])%len(names)], Linkname: names[int(script[2])%len(names)],
			}}
			if m.Typeflag == tar.TypeReg {
				m.content = string(bytes.Repeat(script[2:3], int(script[2])*40))
			}
			members = append(members, m)
		}
		layers = append(layers, plain("top", layerOf(t, members...)))
		out, err := os.Create(filepath.Join(dir, fmt.Sprint(os.Getpid())))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		if err := Write(t.Context(), out, layers, Limits{}, nil); err != nil {
			if kind := protocol.KindOf(err); kind != protocol.KindImage {
				t.Errorf("the kind of %v is %q", err, kind)
			}
			return
		}
		check(t, out.Name())
	})
}
