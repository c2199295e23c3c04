package memory_test

import (
	"errors"
	"math"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/memory"
)

func TestSliceStaysInside(t *testing.T) {
	const size = memory.LowEnd + 1<<20
	m, err := memory.New(size, false)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if m.Size() != size || len(m.Regions()) != 2 {
		t.Fatalf("%d bytes in %d regions", m.Size(), len(m.Regions()))
	}
	for _, c := range []struct {
		address, n uint64
		inside     bool
	}{
		{0, 0, true},
		{0, 1, true},
		{0, memory.LowEnd, true},
		{0, memory.LowEnd + 1, false},
		{memory.LowEnd - 1, 1, true},
		{memory.LowEnd - 1, 2, false},
		{memory.LowEnd, 1, false},
		{memory.LowEnd, 0, false},
		{memory.HighStart - 1, 2, false},
		{memory.HighStart, 1 << 20, true},
		{memory.HighStart, 1<<20 + 1, false},
		{memory.HighStart + 1<<20, 0, false},
		{math.MaxUint64, 1, false},
		{math.MaxUint64, math.MaxUint64, false},
		{1, math.MaxUint64, false},
		{memory.HighStart, math.MaxUint64, false},
	} {
		b, err := m.Slice(c.address, c.n)
		if (err == nil) != c.inside || err == nil && (uint64(len(b)) != c.n || uint64(cap(b)) != c.n) || err != nil && !errors.Is(err, memory.ErrRange) {
			t.Errorf("%#x, %#x: %d bytes, %v", c.address, c.n, len(b), err)
		}
	}
}

func TestDiscardedPagesAreGone(t *testing.T) {
	m, err := memory.New(64<<20, false)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	b, err := m.Slice(0, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] = 1
	}
	if got := blocks(t, m); got < 64<<20 {
		t.Fatalf("%d bytes of 64 MiB are there", got)
	}
	if err := m.Discard(memory.Page, 63<<20); err != nil {
		t.Fatal(err)
	}
	if got := blocks(t, m); got > 1<<20 {
		t.Errorf("%d bytes are still there", got)
	}
	if b[0] != 1 || b[memory.Page] != 0 || b[63<<20] != 0 || b[64<<20-1] != 1 {
		t.Error("other pages were discarded")
	}
	for _, c := range [][2]uint64{{1, memory.Page}, {0, 1}, {64 << 20, memory.Page}, {0, 65 << 20}} {
		if err := m.Discard(c[0], c[1]); err == nil {
			t.Errorf("discarded %d bytes at %d", c[1], c[0])
		}
	}
}

func blocks(t *testing.T, m *memory.Memory) int64 {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Fstat(int(m.File().Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Blocks * 512
}

func TestImpossibleSizes(t *testing.T) {
	for _, size := range []uint64{0, 1, memory.Page + 1, math.MaxUint64} {
		if m, err := memory.New(size, false); err == nil {
			m.Close()
			t.Errorf("made %d bytes", size)
		}
	}
}
