package memory

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestSaveAndLoad has pages on both sides of the hole between the regions.
func TestSaveAndLoad(t *testing.T) {
	const size, at = LowEnd + 64<<20, 1 << 20
	m, other := newMemory(t, size), newMemory(t, size)
	m.Prepare(8*Page, 3*Large)       // and what is there but zero is not written
	m.Prepare(LowEnd-Large, 2*Large) // which is in both regions in part
	m.Prepare(HighStart+size, Large) // nothing is there
	low, high := m.Regions()[0].Bytes, m.Regions()[1].Bytes
	pages := map[uint64][]byte{
		0: low, 5 * Page: low, 32 << 20: low, LowEnd - Page: low, HighStart: high, HighStart + 64<<20 - Page: high,
	}
	for address := range pages {
		b, err := m.Slice(address, Page)
		if err != nil {
			t.Fatal(err)
		}
		copy(b, bytes.Repeat([]byte{byte(address>>12) | 1}, Page))
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "memory"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	written, err := m.Save(f, at)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(len(pages)) * Page; written != want {
		t.Errorf("%d bytes were written, not %d", written, want)
	}
	if err := f.Truncate(at + size); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Load(f, at); err != nil {
		t.Fatal(err)
	}
	for address := range pages {
		want, _ := m.Slice(address, Page)
		got, err := other.Slice(address, Page)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("the page at %#x is another (%v)", address, err)
		}
	}
	info, err := other.File().Stat()
	if err != nil {
		t.Fatal(err)
	}
	if used := info.Sys().(*syscall.Stat_t).Blocks * 512; used > 64<<20 {
		t.Errorf("the memory takes %d bytes", used)
	}
}

func TestSaveToNowhere(t *testing.T) {
	m := newMemory(t, Page)
	m.Regions()[0].Bytes[0] = 1
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := m.Save(f, 0); err == nil {
		t.Error("it was saved to a file that can't be written")
	}
}

func newMemory(t *testing.T, size uint64) *Memory {
	t.Helper()
	m, err := New(size, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}
