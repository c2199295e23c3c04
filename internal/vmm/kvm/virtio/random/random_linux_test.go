package random_test

import (
	"bytes"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/random"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/virtiotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBuffersAreFilled(t *testing.T) {
	for name, without := range map[string]uint64{"all features": 0, "none": virtio.FeatureEventIndex | virtio.FeatureIndirect} {
		t.Run(name, func(t *testing.T) {
			x := virtiotest.Start(t, random.New(), 8, without)
			seen := make(map[string]bool)
			for range 1000 {
				x.Add(0, virtiotest.Piece{Space: 16}, virtiotest.Piece{Space: 100})
				x.Kick(0)
				u := x.Next(0)
				if u.Written != 116 || bytes.Equal(u.Data[:16], make([]byte, 16)) || bytes.Equal(u.Data[100:], make([]byte, 16)) || seen[string(u.Data)] {
					t.Fatalf("%d bytes: %x", u.Written, u.Data)
				}
				seen[string(u.Data)] = true
			}
		})
	}
}

func TestLargeBuffersAreFilledInPart(t *testing.T) {
	x := virtiotest.Start(t, random.New(), 8, 0)
	x.Add(0, virtiotest.Piece{Space: 1000}, virtiotest.Piece{Space: 1 << 20}, virtiotest.Piece{Space: 1 << 20})
	x.Kick(0)
	u := x.Next(0)
	if u.Written != 64<<10 {
		t.Errorf("%d bytes were written", u.Written)
	}
	if !bytes.Equal(u.Data[64<<10:], make([]byte, len(u.Data)-64<<10)) {
		t.Error("more was written than the driver was told")
	}
}

func TestBuffersWithoutSpaceComeBack(t *testing.T) {
	x := virtiotest.Start(t, random.New(), 8, 0)
	x.Add(0, virtiotest.Piece{Content: []byte("abc")})
	x.Kick(0)
	if u := x.Next(0); u.Written != 0 {
		t.Errorf("%+v", u)
	}
}

func TestPausedSourcesGoOn(t *testing.T) {
	x := virtiotest.Start(t, random.New(), 8, 0)
	x.Transport.Pause()
	x.Add(0, virtiotest.Piece{Space: 8})
	if _, ok := x.Poll(0); ok {
		t.Error("it worked while it was paused")
	}
	s, err := x.Transport.Save()
	if err != nil {
		t.Fatal(err)
	}
	x.Restart(random.New(), s)
	if u := x.Next(0); u.Written != 8 {
		t.Errorf("%+v", u)
	}
}

func BenchmarkRandom(b *testing.B) {
	x := virtiotest.Start(b, random.New(), 8, 0)
	b.SetBytes(64 << 10)
	b.ReportAllocs()
	for b.Loop() {
		x.Add(0, virtiotest.Piece{Space: 64 << 10})
		x.Kick(0)
		x.Next(0)
	}
}

// FuzzBuffers describes buffers of the guest with arbitrary descriptors, and looks for
// writes elsewhere.
func FuzzBuffers(f *testing.F) {
	f.Add([]byte{0, 0, 0, 16, 2, 0})
	f.Add([]byte{0, 1, 0, 1, 3, 1, 2, 3, 4, 5, 2, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 6, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		const buffers, end = 0x400000, 0x400000 + 1<<20
		x := virtiotest.Start(t, random.New(), 8, 0)
		after := x.Bytes(end, 4096)
		clear(after)
		for i := uint16(0); len(b) >= 6; i, b = i+1, b[6:] {
			// What is described ends 64 KiB below the end at the latest.
			address := buffers + uint64(b[0]%0xe0)<<12 + uint64(b[1])
			x.Describe(0, i%8, address, uint32(b[2])<<8|uint32(b[3]), uint16(b[4]), uint16(b[5]))
			x.MakeAvailable(0, uint16(b[5])%16)
			x.Kick(0)
		}
		x.Transport.Pause()
		x.Set(0x70, 0)
		if !bytes.Equal(after, make([]byte, len(after))) {
			t.Error("something was written that no buffer has")
		}
	})
}
