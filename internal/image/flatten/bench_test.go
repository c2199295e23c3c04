package flatten

import (
	"archive/tar"
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// BenchmarkFlatten turns a root filesystem of 160 MB into a disk. The tar that
// BOXLITE_BENCH_ROOTFS names is used if there is one, and otherwise one with as
// many files, as large, is made up. It reports the most memory that the Go
// runtime held at any time, beside the speed.
func BenchmarkFlatten(b *testing.B) {
	source := os.Getenv("BOXLITE_BENCH_ROOTFS")
	if source == "" {
		source = makeRootfs(b)
	}
	info, err := os.Stat(source)
	if err != nil {
		b.Fatal(err)
	}
	layers := []Layer{{Name: filepath.Base(source), Open: func() (io.ReadCloser, error) { return os.Open(source) }}}
	out, err := os.Create(filepath.Join(b.TempDir(), "disk.ext4"))
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	debug.FreeOSMemory()
	before, peak := memory(), uint64(0)
	b.SetBytes(info.Size())
	for b.Loop() {
		if err := out.Truncate(0); err != nil {
			b.Fatal(err)
		}
		err := Write(b.Context(), out, layers, Limits{}, func(int64, int64) { peak = max(peak, memory()) })
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(peak-min(peak, before))/1e6, "peak-MB")
}

// memory returns how much the Go runtime holds, which is nearly all that the
// process does.
func memory() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}

// makeRootfs makes a tar like that of a small Debian: 10000 files, most of them
// small, some directories and links.
func makeRootfs(b *testing.B) string {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "rootfs.tar"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	buffered := bufio.NewWriterSize(f, 1<<20)
	w := tar.NewWriter(buffered)
	random := rand.New(rand.NewPCG(1, 2))
	content := make([]byte, 1<<20)
	for i := range content {
		content[i] = byte(random.Uint32())
	}
	add := func(h tar.Header) {
		h.ModTime = time.Unix(1_700_000_000, 0)
		if err := w.WriteHeader(&h); err != nil {
			b.Fatal(err)
		}
		if _, err := w.Write(content[:h.Size]); err != nil {
			b.Fatal(err)
		}
	}
	for d := range 1000 {
		dir := fmt.Sprintf("usr/share/package-%03d/part-%d", d/10, d%10)
		add(tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755})
		for n := range 10 {
			// Most files have a few kilobytes, one in fifty has half a megabyte.
			size := random.Int64N(12 << 10)
			if random.IntN(50) == 0 {
				size = random.Int64N(1 << 20)
			}
			add(tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("%s/file-%d", dir, n), Size: size, Mode: 0o644})
		}
		add(tar.Header{Typeflag: tar.TypeSymlink, Name: dir + "/link", Linkname: "file-0", Mode: 0o777})
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	if err := buffered.Flush(); err != nil {
		b.Fatal(err)
	}
	return f.Name()
}
