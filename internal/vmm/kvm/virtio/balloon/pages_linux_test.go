package balloon

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

// split cuts bytes into pieces whose sizes repeat.
func split(b []byte, sizes ...int) (pieces [][]byte) {
	for i := 0; len(b) > 0; i++ {
		n := min(len(b), sizes[i%len(sizes)])
		pieces = append(pieces, b[:n])
		b = b[n:]
	}
	return pieces
}

func encode(numbers ...uint32) (b []byte) {
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

func TestNumbersBecomeRuns(t *testing.T) {
	type run struct{ start, end uint64 }
	for name, x := range map[string]struct {
		numbers []uint32
		want    []run
	}{
		"none":       {nil, nil},
		"one":        {[]uint32{5}, []run{{5, 6}}},
		"ascending":  {[]uint32{5, 6, 7}, []run{{5, 8}}},
		"descending": {[]uint32{7, 6, 5}, []run{{5, 8}}},
		"mixed":      {[]uint32{7, 100, 5, 101, 6, 9}, []run{{5, 8}, {9, 10}, {100, 102}}},
		"twice":      {[]uint32{7, 7, 8, 7}, []run{{7, 9}}},
		"the last":   {[]uint32{1<<32 - 1, 0}, []run{{0, 1}, {1<<32 - 1, 1 << 32}}},
	} {
		for _, sizes := range [][]int{{4096}, {1}, {3, 5}, {4, 2}, {7}} {
			var got []run
			p := newPages(func(start, end uint64) { got = append(got, run{start / page, end / page}) })
			p.handle(&virtio.Chain{Readable: split(append(encode(x.numbers...), 1, 2), sizes...)})
			if !slices.Equal(got, x.want) {
				t.Errorf("%s in pieces of %v: %v, want %v", name, sizes, got, x.want)
			}
		}
	}
}

func TestNumbersOfOneBufferAreBounded(t *testing.T) {
	count := uint64(0)
	p := newPages(func(start, end uint64) { count += (end - start) / page })
	numbers := make([]uint32, numbersLimit+100)
	for i := range numbers {
		numbers[i] = uint32(i)
	}
	p.handle(&virtio.Chain{Readable: split(encode(numbers...), 4096)})
	if count != numbersLimit {
		t.Errorf("%d pages", count)
	}
}

func FuzzPages(f *testing.F) {
	f.Add(encode(1, 2, 3), uint8(3), uint8(5))
	f.Add(encode(0, 1<<32-1, 1), uint8(1), uint8(100))
	f.Fuzz(func(t *testing.T, b []byte, one, two uint8) {
		want := make(map[uint32]bool)
		for i := 0; i+numberSize <= len(b); i += numberSize {
			want[binary.LittleEndian.Uint32(b[i:])] = true
		}
		last := uint64(0)
		seen := 0
		p := newPages(func(start, end uint64) {
			if start%page != 0 || end%page != 0 || start >= end || end > 1<<44 {
				t.Fatalf("a run from %#x to %#x", start, end)
			}
			if len(b) < batch && start < last {
				t.Fatal("runs overlap")
			}
			last = end
			for ; start < end; start += page {
				if !want[uint32(start/page)] {
					t.Fatalf("page %d was not asked for", start/page)
				}
				seen++
			}
		})
		p.handle(&virtio.Chain{Readable: split(b, int(one)+1, int(two)+1)})
		if len(b) < batch && seen != len(want) {
			t.Fatalf("%d pages of %d", seen, len(want))
		}
	})
}

func BenchmarkPages(b *testing.B) {
	numbers := make([]uint32, 256)
	for i := range numbers {
		numbers[i] = uint32(1000 - i)
	}
	c := virtio.Chain{Readable: [][]byte{encode(numbers...)}}
	p := newPages(func(uint64, uint64) {})
	b.ReportAllocs()
	for b.Loop() {
		p.handle(&c)
	}
}
