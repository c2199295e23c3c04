package block

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

var designs = map[int]string{0: "hybrid", 1: "inline", 2: "pool", 3: "hybrid-inline-writes"}

// BenchmarkRequests is requests to a disk that is in the host's page cache, beside the
// same done by system calls in the goroutine of the benchmark.
func BenchmarkRequests(b *testing.B) {
	const size = 64 << 20
	f, _ := disk(b, size)
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
		blocks := size / c.bytes
		sector := func(i int) uint64 {
			n := uint64(i) % blocks
			if c.isRandom {
				n = rand.Uint64N(blocks)
			}
			return n * c.bytes / sectorSize
		}
		cool := func() {
			if c.isCold {
				_ = unix.Fdatasync(int(f.Fd()))
				_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
			}
		}
		b.Run(c.name+"/plain", func(b *testing.B) {
			buffer := make([]byte, c.bytes)
			b.SetBytes(int64(c.bytes))
			cool()
			for i := 0; b.Loop(); i++ {
				var err error
				if c.isCold && i%4096 == 4095 {
					cool()
				}
				if c.kind == typeIn {
					_, err = unix.Pread(int(f.Fd()), buffer, int64(sector(i)*sectorSize))
				} else {
					_, err = unix.Pwrite(int(f.Fd()), buffer, int64(sector(i)*sectorSize))
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		for design, name := range designs {
			b.Run(fmt.Sprint(c.name, "/", name), func(b *testing.B) {
				file, err := os.OpenFile(f.Name(), os.O_RDWR, 0)
				if err != nil {
					b.Fatal(err)
				}
				defer file.Close()
				d := device(b, Config{File: f})
				d.design = design
				s := newSlots(b, d, c.bytes)
				b.SetBytes(int64(c.bytes))
				b.ReportAllocs()
				cool()
				submitted := 0
				for ; submitted < c.depth; submitted++ {
					s.submit(submitted, c.kind, sector(submitted), c.bytes)
				}
				for b.Loop() {
					slot, status := s.done()
					if status != statusOK {
						b.Fatal(status)
					}
					if c.isCold && submitted%4096 == 4095 {
						cool()
					}
					s.submit(slot, c.kind, sector(submitted), c.bytes)
					submitted++
				}
				for range c.depth {
					s.done()
				}
			})
		}
	}
}
