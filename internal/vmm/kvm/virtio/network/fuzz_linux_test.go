package network_test

import (
	"testing"

	"github.com/boxlite-go/boxlite/internal/network/link"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/virtiotest"
)

// FuzzQueues describes buffers of both queues with arbitrary descriptors, while the stack
// sends and receives.
func FuzzQueues(f *testing.F) {
	f.Add([]byte{0, 0, 0, 16, 0, 2, 0, 1, 0, 0, 1, 0, 0, 1}, false)
	f.Add([]byte{0, 0, 0, 0, 200, 2, 0, 0, 1, 0, 4, 0, 2, 1}, true)
	f.Add([]byte{1, 0, 0, 0, 5, 1, 1, 1, 0, 0, 0, 30, 0, 0}, true)
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 4, 0}, false)
	f.Fuzz(func(t *testing.T, b []byte, merge bool) {
		guest, stack := link.Pipe()
		d := create(guest)
		without := ^uint64(0)
		if merge {
			without = 0
		}
		x := virtiotest.Start(t, d, 8, without&^(1<<32))
		if err := stack.Send([]link.Frame{{frame(60, 1)}, {frame(link.MaxFrame, 2)}, {frame(1514, 3)}}); err != nil {
			t.Fatal(err)
		}
		for i := uint16(0); len(b) >= 7; i, b = i+1, b[7:] {
			n := int(b[0] % 2)
			x.Describe(n, i%8, 8<<20+uint64(b[1])<<12+uint64(b[2]), uint32(b[3])<<8|uint32(b[4]), uint16(b[5]), uint16(b[6]))
			x.MakeAvailable(n, uint16(b[6])%10)
			x.Kick(n)
		}
		x.Transport.Pause()
		x.Transport.Resume()
		x.Set(0x70, 0)
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}
