package block

import (
	"bytes"
	"testing"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/virtiotest"
)

// FuzzRequest makes descriptors of bytes: for each, its flags, its length, and which one
// is next. What they point to are the bytes that follow. Whatever they are, the device
// answers or gives up, and the disk stays as large as it is.
func FuzzRequest(f *testing.F) {
	const n, size, start = 16, 64 << 10, 4 << 20
	file, _ := disk(f, size)
	for _, kind := range []uint32{typeIn, typeOut, typeFlush, typeID, typeDiscard, typeWriteZeroes, 99} {
		for _, sector := range []uint64{0, 127, 1 << 40} {
			body := append(header(kind, sector), ranges([3]uint64{sector, 4, uint64(kind % 2)}, [3]uint64{1, 1, 0})...)
			f.Add(uint8(3), append([]byte{1, 0, 16, 1, 1, 2, 0, 2, 2, 0, 1, 0}, body...))
			f.Add(uint8(3), append([]byte{1, 0, 16, 1, 3, 2, 0, 2, 2, 0, 1, 0}, body...))
			f.Add(uint8(3), append([]byte{1, 0, 16, 1, 1, 0, 32, 2, 2, 0, 1, 0}, body...))
			f.Add(uint8(2), append([]byte{1, 0, 48, 1, 2, 2, 1, 0}, body...))
		}
	}
	f.Fuzz(func(t *testing.T, count uint8, input []byte) {
		x := virtiotest.Start(t, device(t, Config{File: file, Serial: "fuzz"}), n, virtio.FeatureEventIndex)
		table := input[:min(len(input), 4*int(count%n))]
		body := input[len(table):]
		copy(x.Bytes(start, size), body)
		at := uint64(start)
		for i := 0; i+4 <= len(table); i += 4 {
			length := uint32(table[i+1])<<8 | uint32(table[i+2])
			x.Describe(0, uint16(i/4), at, length, uint16(table[i]%8), uint16(table[i+3]%(n+1)))
			at += uint64(length)
		}
		// A request of which is known what comes of it follows: then the first one was taken.
		id := uint64(12 << 20)
		copy(x.Bytes(id, headerSize), header(typeID, 0))
		x.Describe(0, n-2, id, headerSize, 1, n-1)
		x.Describe(0, n-1, id+headerSize, idSize+1, 2, 0)
		x.MakeAvailable(0, 0)
		x.MakeAvailable(0, n-2)
		x.Kick(0)
		used := x.Bytes(usedOffset, 4)
		for virtio.Load16(used, 2) != 2 && !x.NeedsReset() {
			x.WaitForInterrupt()
		}
		x.Transport.Pause()
		if !x.NeedsReset() && !bytes.Equal(x.Bytes(id+headerSize, 5), []byte("fuzz\x00")) {
			t.Error("the request that follows is not answered")
		}
		if info, err := file.Stat(); err != nil || info.Size() != size {
			t.Errorf("the disk has another size: %v", err)
		}
	})
}
