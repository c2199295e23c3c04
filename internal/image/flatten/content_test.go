package flatten

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

func TestExtendedAttributesAreKept(t *testing.T) {
	const capability = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	large := strings.Repeat("v", 3000)
	disk := mustBuild(t, plain("0", layerOf(t,
		file("ping", "x").with(func(h *tar.Header) {
			h.PAXRecords = map[string]string{
				"SCHILY.xattr.security.capability":      capability,
				"SCHILY.xattr.user.large":               large,
				"SCHILY.xattr.user.empty":               "",
				"SCHILY.xattr.trusted.overlay.redirect": "/etc",
				"SCHILY.xattr.user.overlay.opaque":      "y",
				"SCHILY.xattr.system.made.up":           "z",
			}
		}),
		dir("d").with(func(h *tar.Header) { h.PAXRecords = map[string]string{"SCHILY.xattr.user.dir": "d"} }),
		sym("s", "ping").with(func(h *tar.Header) { h.PAXRecords = map[string]string{"SCHILY.xattr.trusted.sym": "s"} }),
	)))
	for _, want := range []struct{ file, name, value string }{
		{"ping", "security.capability", capability},
		{"ping", "user.large", large},
		{"d", "user.dir", "d"},
		{"s", "trusted.sym", "s"},
		// What overlayfs would act on, or no file system knows, is left out.
		{"ping", "trusted.overlay.redirect", ""},
		{"ping", "user.overlay.opaque", ""},
		{"ping", "system.made.up", ""},
	} {
		if got := attribute(t, disk, want.file, want.name); got != want.value {
			t.Errorf("%s of %s is %.40q, want %.40q", want.name, want.file, got, want.value)
		}
	}
}

// What tar holds is the form of system calls; ext4 has its own.
func TestAccessControlListsAreConverted(t *testing.T) {
	const (
		inTar = "\x02\x00\x00\x00" +
			"\x01\x00\x06\x00\xff\xff\xff\xff" + // user::rw-
			"\x02\x00\x04\x00\xe8\x03\x00\x00" + // user:1000:r--
			"\x04\x00\x04\x00\xff\xff\xff\xff" + // group::r--
			"\x10\x00\x04\x00\xff\xff\xff\xff" + // mask::r--
			"\x20\x00\x00\x00\xff\xff\xff\xff" // other::---
		onDisk = "\x01\x00\x00\x00" +
			"\x01\x00\x06\x00" + "\x02\x00\x04\x00\xe8\x03\x00\x00" +
			"\x04\x00\x04\x00" + "\x10\x00\x04\x00" + "\x20\x00\x00\x00"
	)
	got, err := diskACL(inTar)
	if err != nil || got != onDisk {
		t.Errorf("%x, %v, want %x", got, err, onDisk)
	}
	disk := mustBuild(t, plain("0", layerOf(t, file("a", "x").with(func(h *tar.Header) {
		h.PAXRecords = map[string]string{"SCHILY.xattr." + aclAccess: inTar}
	}))))
	if out := debugfs(t, disk, `ea_list "/a"`)[0]; !strings.Contains(out, "posix_acl_access") {
		t.Errorf("the list is not there: %s", out)
	}
}

// Times have nanoseconds, and reach from 1901 to 2310.
func TestTimesAreKept(t *testing.T) {
	for _, want := range []time.Time{
		time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.UTC),
		time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(1969, 12, 31, 23, 59, 59, 500000000, time.UTC),
		time.Date(1902, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC),
		time.Date(2107, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2300, 1, 1, 0, 0, 0, 1, time.UTC),
	} {
		t.Run(want.String(), func(t *testing.T) {
			disk := mustBuild(t, plain("0", layerOf(t, file("a", "x").with(func(h *tar.Header) { h.ModTime, h.Format = want, tar.FormatPAX }))))
			if got := modified(t, disk, "a"); !got.Equal(want) {
				t.Errorf("got %s", got.UTC())
			}
		})
	}
	t.Run("beyond the range", func(t *testing.T) {
		disk := mustBuild(t, plain("0", layerOf(t,
			file("early", "x").with(func(h *tar.Header) { h.ModTime = time.Date(1800, 1, 1, 0, 0, 0, 0, time.UTC) }),
			file("late", "x").with(func(h *tar.Header) { h.ModTime = time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC) }),
		)))
		if got := modified(t, disk, "early").Year(); got != 1901 {
			t.Errorf("1800 became %d", got)
		}
		if got := modified(t, disk, "late").Year(); got != 2310 {
			t.Errorf("3000 became %d", got)
		}
	})
}

// modified decodes a file's time as the kernel does.
func modified(t *testing.T, disk, name string) time.Time {
	t.Helper()
	_, line, _ := strings.Cut(debugfs(t, disk, fmt.Sprintf(`stat "/%s"`, name))[0], " mtime: ")
	var seconds, extra uint32
	if _, err := fmt.Sscanf(line, "0x%x:%x", &seconds, &extra); err != nil {
		t.Fatal(err)
	}
	return time.Unix(int64(int32(seconds))+int64(extra&3)<<32, int64(extra>>2))
}

func TestLongNames(t *testing.T) {
	part := strings.Repeat("n", 255)
	long := part + "/" + part + "/" + part
	target := strings.Repeat("t/", 1000)
	disk := mustBuild(t, plain("0", layerOf(t,
		file(long, "deep"), hard("link", long), sym("sym", target), sym("short", strings.Repeat("s", 59)),
	)))
	if got := readFile(t, disk, long); got != "deep" {
		t.Errorf("%q", got)
	}
	if got := readFile(t, disk, "link"); got != "deep" {
		t.Errorf("%q", got)
	}
	if got := debugfs(t, disk, `cat "/sym"`)[0]; got != target {
		t.Errorf("the link's target is %q", got)
	}
}

// A layer is the same however it is compressed, and whether it can seek or not.
func TestCompressions(t *testing.T) {
	content := make([]byte, 3<<20)
	rand.Read(content)
	layer := layerOf(t, file("random", string(content)), file("hidden", strings.Repeat("x", 1<<20)), file("small", "s"))
	upper := layerOf(t, file(".wh.hidden", ""))
	sum := fmt.Sprintf("sha256:%x", sha256.Sum256(layer))
	want := sha256Of(t, mustBuild(t, plain("0", layer), plain("1", upper)))
	for name, l := range map[string]Layer{
		"pipe":                         {Open: func() (io.ReadCloser, error) { return io.NopCloser(io.MultiReader(bytes.NewReader(layer))), nil }},
		"gzip":                         plain("0", gzipped(t, layer)),
		"zstd":                         plain("0", zstandard(t, layer)),
		"gzip of two members":          plain("0", append(gzipped(t, layer[:70000]), gzipped(t, layer[70000:])...)),
		"zstd after a skippable frame": plain("0", append([]byte("\x50\x2a\x4d\x18\x03\x00\x00\x00abc"), zstandard(t, layer)...)),
	} {
		for _, diffID := range []string{"", sum} {
			l.DiffID = diffID
			t.Run(name, func(t *testing.T) {
				if got := sha256Of(t, mustBuild(t, l, plain("1", upper))); got != want {
					t.Error("the disk is another one")
				}
			})
		}
	}
}

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

func sha256Of(t testing.TB, path string) [32]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}

// Zeros take no room: neither those of a sparse file in a tar, nor others.
func TestZerosAreHoles(t *testing.T) {
	const size = 520 << 20 // more than four extents, so that there is an index of them
	layer := sparseTar(t, "sparse", size, "the end")
	disk := mustBuild(t, plain("0", layer))
	info, err := os.Stat(disk)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() < size || info.Size()%4096 != 0 {
		t.Errorf("the disk has %d bytes", info.Size())
	}
	if used := info.Sys().(*syscall.Stat_t).Blocks * 512; used > 4<<20 {
		t.Errorf("the disk takes %d bytes", used)
	}
	out := filepath.Join(t.TempDir(), "content")
	debugfs(t, disk, `dump "/sparse" `+out)
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	end := make([]byte, 8)
	if _, err := f.ReadAt(end, size-8); err != nil || string(end) != "\x00the end" {
		t.Errorf("the file ends with %q, %v", end, err)
	}
}

// sparseTar makes a tar of one file in GNU's sparse format 1.0, with content at
// its end only.
func sparseTar(t testing.TB, name string, size int64, end string) []byte {
	t.Helper()
	sparseMap := fmt.Sprintf("1\n%d\n%d\n", size-int64(len(end)), len(end))
	data := sparseMap + strings.Repeat("\x00", 512-len(sparseMap)) + end
	records := ""
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=" + name, fmt.Sprintf("GNU.sparse.realsize=%d", size)} {
		records += fmt.Sprintf("%d %s\n", len(r)+4, r)
	}
	var b bytes.Buffer
	for _, part := range []struct {
		typeflag byte
		content  string
	}{{tar.TypeXHeader, records}, {tar.TypeReg, data}} {
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "x", Size: int64(len(part.content)), Mode: 0o644, Format: tar.FormatUSTAR}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, part.content)
		w.Flush()
		if part.typeflag != tar.TypeReg {
			setType(b.Bytes(), part.typeflag)
		}
	}
	b.Write(make([]byte, 1024))
	return b.Bytes()
}

// setType changes the type in a tar header, and the checksum with it.
func setType(header []byte, typeflag byte) {
	header[156] = typeflag
	copy(header[148:156], "        ")
	sum := 0
	for _, c := range header[:512] {
		sum += int(c)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

func TestProgressReachesTheTotal(t *testing.T) {
	layer := layerOf(t, file("a", strings.Repeat("x", 100000)), file("b", "y"), hard("c", "a"))
	out, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	var last, total int64
	err = Write(t.Context(), out, []Layer{plain("0", layer)}, Limits{}, func(d, n int64) {
		if d < last {
			t.Errorf("progress went from %d to %d", last, d)
		}
		last, total = d, n
	})
	if err != nil || last != 100001 || total != 100001 {
		t.Errorf("%d of %d, %v", last, total, err)
	}
}

func TestWriteEndsWithItsContext(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ctx, cancel := context.WithCancel(t.Context())
	layer := layerOf(t, file("a", strings.Repeat("x", 100000)), file("b", "y"))
	err = Write(ctx, out, []Layer{plain("0", layer)}, Limits{}, func(int64, int64) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
