package block

import (
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkRequests is requests to a disk, beside the same done by system calls in the
// goroutine of the benchmark; "ratio" is how many times longer the device takes. What is
// cold is not in the host's page cache.
func BenchmarkRequests(b *testing.B) {
	const size = 64 << 20
	f, _ := disk(b, size)
	fd := int(f.Fd())
	for _, c := range []struct {
		name             string
		kind             uint32
		bytes            uint64
		depth            int
		isRandom, isCold bool
	}{
		{"read4K/1", typeIn, 4096, 1, true, false},
		{"read4K/32", typeIn, 4096, 32, true, false},
		{"read1M/1", typeIn, 1 << 20, 1, false, false},
		{"read1M/8", typeIn, 1 << 20, 8, false, false},
		{"cold4K/1", typeIn, 4096, 1, true, true},
		{"cold4K/32", typeIn, 4096, 32, true, true},
		{"write4K/1", typeOut, 4096, 1, true, false},
		{"write4K/32", typeOut, 4096, 32, true, false},
		{"write1M/8", typeOut, 1 << 20, 8, false, false},
	} {
		blocks, plain := size/c.bytes, 0.0
		// sector is that of the next request.
		sector := func(i int) uint64 {
			if c.isCold && i%4096 == 0 {
				_ = unix.Fdatasync(fd)
				_ = unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED)
			}
			n := uint64(i) % blocks
			if c.isRandom {
				n = rand.Uint64N(blocks)
			}
			return n * c.bytes / sectorSize
		}
		b.Run(c.name+"/plain", func(b *testing.B) {
			buffer := make([]byte, c.bytes)
			b.SetBytes(int64(c.bytes))
			for i := 0; b.Loop(); i++ {
				var err error
				if c.kind == typeIn {
					_, err = unix.Pread(fd, buffer, int64(sector(i)*sectorSize))
				} else {
					_, err = unix.Pwrite(fd, buffer, int64(sector(i)*sectorSize))
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			plain = float64(b.Elapsed()) / float64(b.N)
		})
		b.Run(c.name+"/device", func(b *testing.B) {
			s := newSlots(b, device(b, Config{File: f}), c.bytes)
			b.SetBytes(int64(c.bytes))
			b.ReportAllocs()
			i := 0
			for ; i < c.depth; i++ {
				s.submit(i, c.kind, sector(i), c.bytes)
			}
			for ; b.Loop(); i++ {
				slot, status := s.done()
				if status != statusOK {
					b.Fatal(status)
				}
				s.submit(slot, c.kind, sector(i), c.bytes)
			}
			for range c.depth {
				s.done()
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/plain, "ratio")
		})
	}
}
