package memory

import (
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkSave writes 256 MiB of memory, all of which is there, to a file.
func BenchmarkSave(b *testing.B) { benchmarkState(b, true) }

// BenchmarkLoad reads it again, into memory that is not there yet.
func BenchmarkLoad(b *testing.B) { benchmarkState(b, false) }

func benchmarkState(b *testing.B, isSave bool) {
	const size = 256 << 20
	m, err := New(size, false)
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	for i := 0; i < size; i += Page {
		m.Regions()[0].Bytes[i] = 1
	}
	f, err := os.Create(filepath.Join(b.TempDir(), "memory"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := m.Save(f, 0); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	for b.Loop() {
		if isSave {
			if err := f.Truncate(0); err != nil {
				b.Fatal(err)
			}
			if _, err := m.Save(f, 0); err != nil {
				b.Fatal(err)
			}
			continue
		}
		other, err := New(size, false)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := other.Load(f, 0); err != nil {
			b.Fatal(err)
		}
		if err := other.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
