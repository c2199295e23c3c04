package flatten

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Whatever a layer holds, the worst it can do is to be refused.
func TestHostileLayersAreRefused(t *testing.T) {
	huge := func(name string, size int64) []byte {
		// The header alone: what it promises never comes.
		var b bytes.Buffer
		tar.NewWriter(&b).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644})
		return b.Bytes()
	}
	device := func(major, minor int64) member {
		return member{tar.Header{Typeflag: tar.TypeChar, Name: "dev", Devmajor: major, Devminor: minor}, ""}
	}
	random := layerOf(t, file("a", strings.Repeat("0123456789", 1000)))
	for _, test := range []struct {
		name    string
		layer   []byte
		kind    protocol.Kind
		message string
	}{
		{"a name that climbs out", layerOf(t, file("../x", "")), protocol.KindImage, "leads out"},
		{"a name that climbs out by a detour", layerOf(t, file("a/../../x", "")), protocol.KindImage, "leads out"},
		{"an absolute name that climbs out", layerOf(t, file("/../x", "")), protocol.KindImage, "leads out"},
		{"the parent itself", layerOf(t, dir("..")), protocol.KindImage, "leads out"},
		{"a hard link that climbs out", layerOf(t, hard("a", "../../etc/shadow")), protocol.KindImage, "leads out"},
		{"a whiteout of the parent", layerOf(t, file("d/.wh...", "")), protocol.KindImage, "leads out"},
		{"a whiteout of its own directory", layerOf(t, file("d/.wh..", "")), protocol.KindImage, "leads out"},
		{"a whiteout of nothing", layerOf(t, file("d/.wh.", "")), protocol.KindImage, "leads out"},
		{"a hard link to nothing", layerOf(t, hard("a", "b")), protocol.KindImage, "not exist"},
		{"a hard link to a directory", layerOf(t, dir("d"), hard("a", "d")), protocol.KindImage, "is a directory"},
		{"a hard link to the root", layerOf(t, hard("a", "/")), protocol.KindImage, "not exist"},
		{"symbolic links in a circle, as a parent", layerOf(t, sym("a", "b"), sym("b", "a"), file("a/x", "")), protocol.KindImage, "too many levels"},
		{"a symbolic link to itself, as a parent", layerOf(t, sym("a", "a/a/a/a"), file("a/x", "")), protocol.KindImage, "too many levels"},
		{"a file as a parent", layerOf(t, file("a", ""), file("a/x", "")), protocol.KindImage, "not a directory"},
		{"a file as the root", layerOf(t, file(".", "x")), protocol.KindImage, "root is not a directory"},
		{"a symbolic link as the root", layerOf(t, sym(".", "/etc")), protocol.KindImage, "root is not a directory"},
		{"a symbolic link without a target", layerOf(t, sym("a", "")), protocol.KindImage, "0 bytes long"},
		{"a symbolic link with a very long target", layerOf(t, sym("a", strings.Repeat("t", 4096))), protocol.KindImage, "4096 bytes long"},
		{"a part of a name that is too long", layerOf(t, file(strings.Repeat("n", 256), "")), protocol.KindImage, "256 bytes"},
		{"a name that is too long", layerOf(t, dir(strings.Repeat("n/", 2048))), protocol.KindImage, "4096 bytes"},
		{"a name that a symbolic link makes too long", layerOf(t, sym("a", strings.Repeat("n", 256)), file("a/x", "")), protocol.KindImage, "256 bytes"},
		{"directories without end", layerOf(t, dir(strings.Repeat("d/", 600))), protocol.KindImage, "nested more than"},
		{"a device that can't be", layerOf(t, device(4096, 0)), protocol.KindImage, "device number"},
		{"an owner that can't be", layerOf(t, file("a", "").with(func(h *tar.Header) { h.Uid = 1 << 33 })), protocol.KindImage, "owner"},
		{"a file where ext4 has lost+found", layerOf(t, file("lost+found", "")), protocol.KindImage, "lost+found"},
		{"attributes that no inode holds", layerOf(t, file("a", "").with(func(h *tar.Header) {
			h.PAXRecords = map[string]string{"SCHILY.xattr.user.big": strings.Repeat("v", 5000)}
		})), protocol.KindImage, "extended attributes"},
		{"a broken access control list", layerOf(t, file("a", "").with(func(h *tar.Header) {
			h.PAXRecords = map[string]string{"SCHILY.xattr." + aclAccess: "broken"}
		})), protocol.KindImage, "access control list"},
		{"a file of 1 TB that is all hole", sparseTar(t, "sparse", 1<<40, "end"), protocol.KindResourceExhausted, "uncompressed size"},
		{"a file that promises 1 TB", huge("a", 1<<40), protocol.KindResourceExhausted, "uncompressed size"},
		{"a file that no ext4 writer can hold", huge("a", 43<<30), protocol.KindResourceExhausted, "the most that a root disk can hold"},
		{"not a tar", []byte(strings.Repeat("this is not a tar archive\n", 100)), protocol.KindImage, "tar"},
		{"a tar that was cut off", random[:5000], protocol.KindImage, "unexpected EOF"},
		{"a gzip file that was cut off", gzipped(t, random)[:60], protocol.KindImage, "unexpected EOF"},
		{"a zstd file that was cut off", zstandard(t, random)[:30], protocol.KindImage, "unexpected EOF"},
		{"a gzip file with a wrong checksum", damaged(gzipped(t, random), -6), protocol.KindImage, "checksum"},
		{"a gzip file of garbage", []byte("\x1f\x8bgarbage garbage garbage"), protocol.KindImage, "gzip"},
		{"a zstd file of garbage", []byte("\x28\xb5\x2f\xfdgarbage garbage garbage"), protocol.KindImage, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			disk, err := build(t, Limits{}, plain("sha256:bad", test.layer))
			if err == nil {
				t.Fatalf("it was accepted: %q", contents(t, disk))
			}
			if kind := protocol.KindOf(err); kind != test.kind {
				t.Errorf("the kind is %q, want %q", kind, test.kind)
			}
			if !strings.Contains(err.Error(), test.message) {
				t.Errorf("%q does not contain %q", err, test.message)
			}
			if !strings.Contains(err.Error(), "sha256:bad") && !strings.Contains(err.Error(), "lost+found") {
				t.Errorf("%q does not name the layer", err)
			}
		})
	}
}

func damaged(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[len(b)+at] ^= 0xff
	return b
}

// Each limit has an error that names it.
func TestLimits(t *testing.T) {
	for _, test := range []struct {
		name    string
		limits  Limits
		layers  [][]byte
		message string
	}{
		{
			"bytes, of all layers together",
			Limits{Bytes: 20000},
			[][]byte{layerOf(t, file("a", strings.Repeat("x", 9000))), layerOf(t, file("a", strings.Repeat("x", 12000)))},
			"uncompressed size, 20000 bytes",
		},
		{
			"bytes that no header of a file promises",
			Limits{Bytes: 1 << 20},
			[][]byte{gzipped(t, bytes.Repeat(paxComment(t), 5000))},
			"uncompressed size, 1048576 bytes",
		},
		{"entries", Limits{Entries: 3}, [][]byte{layerOf(t, file("a", ""), file("b", ""), file("c", ""), file("d", ""))}, "number of files, 3"},
		{"entries, with parents nobody lists", Limits{Entries: 3}, [][]byte{layerOf(t, file("a/b/c/d", ""))}, "number of files, 3"},
		{"names", Limits{Metadata: 100}, [][]byte{layerOf(t, sym("a", strings.Repeat("t", 200)))}, "names and attributes, 100 bytes"},
		{"depth", Limits{Depth: 2}, [][]byte{layerOf(t, file("a/b/c/d", ""))}, "nested more than 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var layers []Layer
			for i, l := range test.layers {
				layers = append(layers, plain(fmt.Sprint(i), l))
			}
			_, err := build(t, test.limits, layers...)
			if err == nil || !strings.Contains(err.Error(), test.message) {
				t.Errorf("got %v, want %q", err, test.message)
			}
		})
	}
}

// paxComment makes a member that describes no file.
func paxComment(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "nothing"}}); err != nil {
		t.Fatal(err)
	}
	w.Flush()
	return b.Bytes()
}

func TestContentMustHaveItsDigest(t *testing.T) {
	layer := layerOf(t, file("a", "x"))
	for name, b := range map[string][]byte{"plain": layer, "gzip": gzipped(t, layer)} {
		t.Run(name, func(t *testing.T) {
			l := plain("sha256:bad", b)
			l.DiffID = fmt.Sprintf("sha256:%064d", 1)
			_, err := build(t, Limits{}, l)
			if protocol.KindOf(err) != protocol.KindImage || !strings.Contains(err.Error(), "sha256:bad") || !strings.Contains(err.Error(), l.DiffID) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A process that may not write more than 1 MB stands for a disk that is full.
func TestFullDisk(t *testing.T) {
	if os.Getenv("FLATTEN_FULL_DISK") != "" {
		limit := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
		_, err := build(t, Limits{}, plain("0", layerOf(t, file("a", strings.Repeat("x", 4<<20)))))
		fmt.Printf("kind=%s hint=%q err=%v\n", protocol.KindOf(err), protocol.HintOf(err), err)
		return
	}
	c := exec.Command(os.Args[0], "-test.run=^TestFullDisk$")
	c.Env = append(os.Environ(), "FLATTEN_FULL_DISK=1")
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "kind=resource exhausted") || !strings.Contains(string(out), "free some space") {
		t.Errorf("%v: %s", err, out)
	}
}
