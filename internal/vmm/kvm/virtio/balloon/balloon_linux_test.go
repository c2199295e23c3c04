package balloon_test

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/memory"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/balloon"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/virtiotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	inflate   = 0
	deflate   = 1
	reporting = 2

	page = 4096
	free = 8 << 20 // memory that the driver of the tests does not use by itself
)

// proxy is a balloon for memory that exists only after it.
type proxy struct{ *balloon.Device }

// start returns a driver and its balloon.
func start(t testing.TB, without uint64) (*virtiotest.Driver, *balloon.Device) {
	p := &proxy{balloon.New(nil, nil)} // only to be asked for its features
	x := virtiotest.Start(t, p, 64, without)
	x.Set(0x70, 0)
	p.Device = balloon.New(x.Memory, slog.New(slog.DiscardHandler))
	x.Init(64, p.Features()&^without|virtio.FeatureVersion1|virtio.FeatureEventIndex)
	return x, p.Device
}

// touch fills pages, and isZero reports which were given back.
func touch(x *virtiotest.Driver, start uint64, pages int) {
	copy(x.Bytes(start, uint64(pages)*page), bytes.Repeat([]byte{0xaa}, pages*page))
}

func isZero(x *virtiotest.Driver, start uint64) bool {
	b := x.Bytes(start, page)
	zero, full := bytes.Equal(b, make([]byte, page)), bytes.Equal(b, bytes.Repeat([]byte{0xaa}, page))
	if zero == full {
		panic("a page was given back in part")
	}
	return zero
}

func numbers(n ...uint32) (b []byte) {
	for _, n := range n {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

func TestInflatedPagesAreGivenBack(t *testing.T) {
	for name, without := range map[string]uint64{"all features": 0, "no reporting": balloon.FeatureReporting} {
		t.Run(name, func(t *testing.T) {
			x, _ := start(t, without)
			touch(x, free, 16)
			at := uint32(free / page)
			// Among them are pages that are nowhere.
			b := numbers(at+3, at+2, 1<<32-1, at+7, 16<<20/page, 1<<20, at+9)
			x.Add(inflate, virtiotest.Piece{Content: b[:5]}, virtiotest.Piece{Content: b[5:]})
			x.Kick(inflate)
			if u := x.Next(inflate); u.Written != 0 {
				t.Errorf("%+v", u)
			}
			for i := range uint64(16) {
				want := i == 2 || i == 3 || i == 7 || i == 9
				if got := isZero(x, free+i*page); got != want {
					t.Errorf("page %d was given back: %t", i, got)
				}
			}
			x.Add(deflate, virtiotest.Piece{Content: b})
			x.Kick(deflate)
			x.Next(deflate)
			if isZero(x, free) {
				t.Error("deflating gives pages back")
			}
		})
	}
}

func TestReportedPagesAreGivenBack(t *testing.T) {
	x, _ := start(t, 0)
	touch(x, free, 16)
	// Whole pages of both: 1 to 3, and 9.
	x.Describe(reporting, 0, free+100, 4*page-100, 2|1, 1)
	x.Describe(reporting, 1, free+9*page, page+100, 2, 0)
	x.MakeAvailable(reporting, 0)
	x.Kick(reporting)
	x.Next(reporting)
	for i := range uint64(16) {
		want := i >= 1 && i < 4 || i == 9
		if got := isZero(x, free+i*page); got != want {
			t.Errorf("page %d was given back: %t", i, got)
		}
	}
}

func TestReportingNeedsItsFeature(t *testing.T) {
	x, _ := start(t, balloon.FeatureReporting)
	touch(x, free, 1)
	x.Describe(reporting, 0, free, page, 2, 0)
	x.MakeAvailable(reporting, 0)
	x.Kick(reporting)
	x.Transport.Pause()
	if isZero(x, free) {
		t.Error("it was given back")
	}
}

func TestTargetAndActual(t *testing.T) {
	x, d := start(t, 0)
	d.SetTarget(3*page + 1)
	if got := x.Config(0, 8); !bytes.Equal(got, numbers(3, 0)) {
		t.Errorf("configuration %x", got)
	}
	d.SetTarget(1 << 60)
	if got := x.Config(0, 4); !bytes.Equal(got, numbers(16<<20/page)) {
		t.Errorf("configuration %x", got)
	}
	d.SetTarget(5 * page)
	x.Set(0x100, 7) // the target is not the guest's
	x.Set(0x104, 4)
	x.Set(0x108, 9) // there is nothing
	x.Transport.Write(0x107, []byte{0, 1, 2, 3})
	if got := x.Config(0, 16); !bytes.Equal(got, numbers(5, 4, 0, 0)) || d.Actual() != 4*page {
		t.Errorf("configuration %x, actual %d", got, d.Actual())
	}
	x.Set(0x104, 1<<32-1) // a lie
	if d.Actual() != 16<<20 {
		t.Errorf("actual %d", d.Actual())
	}
	x.Set(0x104, 2)

	x.Transport.Pause()
	s, err := x.Transport.Save()
	if err != nil {
		t.Fatal(err)
	}
	next := balloon.New(x.Memory, slog.New(slog.DiscardHandler))
	x.Restart(next, s)
	if got := x.Config(0, 8); !bytes.Equal(got, numbers(5, 2)) || next.Actual() != 2*page {
		t.Errorf("restored: %x", got)
	}
	touch(x, free, 1)
	x.Add(inflate, virtiotest.Piece{Content: numbers(free / page)})
	x.Kick(inflate)
	x.Next(inflate)
	if !isZero(x, free) {
		t.Error("the restored balloon does not work")
	}
	x.Set(0x70, 0)
	if got := x.Config(0, 8); !bytes.Equal(got, numbers(5, 0)) {
		t.Errorf("after a reset: %x", got)
	}
	if err := next.Restore([]byte("{")); err == nil {
		t.Error("nonsense was restored")
	}
}

// TestPagesOfBothRegions inflates all around the gap between them.
func TestPagesOfBothRegions(t *testing.T) {
	m, err := memory.New(memory.LowEnd+16*page, false)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	p := &proxy{balloon.New(m, slog.New(slog.DiscardHandler))}
	x := virtiotest.Start(t, p, 16, 0)
	x.Transport.Pause() // the pages are those of x.Memory for its queues, and of m for it
	for _, at := range []uint64{memory.LowEnd - page, memory.HighStart, memory.HighStart + 15*page} {
		b, err := m.Slice(at, page)
		if err != nil {
			t.Fatal(err)
		}
		b[0] = 1
	}
	x.Add(inflate, virtiotest.Piece{Content: numbers(memory.LowEnd/page-1, memory.LowEnd/page, memory.HighStart/page-1, memory.HighStart/page, memory.HighStart/page+15, memory.HighStart/page+16)})
	x.Transport.Resume()
	x.Next(inflate)
	for _, at := range []uint64{memory.LowEnd - page, memory.HighStart, memory.HighStart + 15*page} {
		if b, _ := m.Slice(at, page); b[0] != 0 {
			t.Errorf("%#x was not given back", at)
		}
	}
}

// FuzzQueues describes buffers of all queues with arbitrary descriptors.
func FuzzQueues(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 16, 0, 0})
	f.Add([]byte{2, 1, 0, 0x10, 0, 2, 1, 2, 1, 0, 0x10, 0, 2, 0})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 4, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		x, d := start(t, 0)
		for i := uint16(0); len(b) >= 7; i, b = i+1, b[7:] {
			n := int(b[0] % 3)
			x.Describe(n, i%64, free+uint64(b[1])<<12+uint64(b[2]), uint32(b[3])<<8|uint32(b[4]), uint16(b[5]), uint16(b[6]))
			x.MakeAvailable(n, uint16(b[6])%80)
			x.Kick(n)
			x.Set(0x104, uint32(b[3]))
		}
		x.Transport.Pause()
		_ = d.Actual()
	})
}
