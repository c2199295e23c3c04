package flatten

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

func fileLayer(path string) Layer {
	return Layer{Name: filepath.Base(path), Open: func() (io.ReadCloser, error) { return os.Open(path) }}
}

func BenchmarkFlatten(b *testing.B) {
	source := os.Getenv("BOXLITE_BENCH_ROOTFS")
	info, err := os.Stat(source)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	for b.Loop() {
		out, err := os.Create(filepath.Join(b.TempDir(), "disk.ext4"))
		if err != nil {
			b.Fatal(err)
		}
		if err := Write(b.Context(), out, []Layer{fileLayer(source)}, Limits{}, nil); err != nil {
			b.Fatal(err)
		}
		out.Close()
	}
}
