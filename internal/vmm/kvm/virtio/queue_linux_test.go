package virtio_test

import (
	"bytes"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/virtiotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a device that writes what it reads into the same buffer.
type echo struct {
	wg     sync.WaitGroup
	resets int
}

func (*echo) ID() uint32                    { return 63 }
func (*echo) Features() uint64              { return 1 }
func (*echo) QueueSizes() []uint16          { return []uint16{256, 8} }
func (*echo) ReadConfig(o uint32, p []byte) { virtio.Config([]byte("configuration"), o, p) }
func (*echo) WriteConfig(uint32, []byte)    {}
func (*echo) Save() ([]byte, error)         { return []byte("saved"), nil }
func (*echo) Restore([]byte) error          { return nil }
func (e *echo) Reset()                      { e.resets++ }
func (e *echo) Stop()                       { e.wg.Wait() }
func (e *echo) Start(_ uint64, queues []*virtio.Queue) error {
	for _, q := range queues {
		if q != nil {
			e.wg.Go(func() { q.Run(func() error { return e.work(q) }) })
		}
	}
	return nil
}

func (*echo) work(q *virtio.Queue) error {
	var c virtio.Chain
	for {
		ok, err := q.Pop(&c)
		if err != nil || !ok {
			return err
		}
		all := bytes.Join(c.Readable, nil)
		written := uint32(0)
		for _, w := range c.Writable {
			n := copy(w, all)
			all, written = all[n:], written+uint32(n)
		}
		q.Push(c.Head, written)
		q.Signal()
	}
}

func TestBuffersComeBack(t *testing.T) {
	for name, without := range map[string]uint64{"all features": 0, "no event index": virtio.FeatureEventIndex, "none": virtio.FeatureEventIndex | virtio.FeatureIndirect} {
		t.Run(name, func(t *testing.T) {
			x := virtiotest.Start(t, &echo{}, 16, without)
			if got := x.Config(4, 20); string(got[:9]) != "iguration" || got[9] != 0 {
				t.Errorf("configuration %q", got)
			}
			for i := range 100_000 { // the indices wrap around
				content := []byte{byte(i), byte(i >> 8)}
				head, _ := x.Add(i%2, virtiotest.Piece{Content: content[:1]}, virtiotest.Piece{Content: content[1:]}, virtiotest.Piece{Space: 1}, virtiotest.Piece{Space: 3})
				x.Kick(i % 2)
				u := x.Next(i % 2)
				if u.Head != head || u.Written != 2 || !bytes.Equal(u.Data[:2], content) {
					t.Fatalf("buffer %d: %+v", i, u)
				}
			}
		})
	}
}

func TestPausedDevicesGoOn(t *testing.T) {
	x := virtiotest.Start(t, &echo{}, 16, 0)
	x.Transport.Pause()
	x.Add(0, virtiotest.Piece{Content: []byte("a")}, virtiotest.Piece{Space: 1})
	x.Kick(0)
	if _, ok := x.Poll(0); ok {
		t.Error("it worked while it was paused")
	}
	saved, err := x.Transport.Save()
	if err != nil || saved.Queues[0].Size != 16 || string(saved.Device) != "saved" {
		t.Fatalf("%+v, %v", saved, err)
	}
	x.Transport.Resume()
	if u := x.Next(0); string(u.Data) != "a" {
		t.Errorf("%+v", u)
	}
}

func TestRestoredDevicesGoOn(t *testing.T) {
	x := virtiotest.Start(t, &echo{}, 16, 0)
	x.Add(0, virtiotest.Piece{Content: []byte("a")}, virtiotest.Piece{Space: 1})
	x.Kick(0)
	x.Next(0)
	x.Transport.Pause()
	x.Add(0, virtiotest.Piece{Content: []byte("b")}, virtiotest.Piece{Space: 1})
	saved, err := x.Transport.Save()
	if err != nil {
		t.Fatal(err)
	}
	x.Restart(&echo{}, saved)
	if u := x.Next(0); string(u.Data) != "b" {
		t.Errorf("%+v", u)
	}
}

// TestBrokenRules has a driver break the rules: the device stops, and says so.
func TestBrokenRules(t *testing.T) {
	const next, write, indirect = 1, 2, 4
	for name, breakRules := range map[string]func(x *virtiotest.Driver){
		"descriptor out of the table": func(x *virtiotest.Driver) { x.MakeAvailable(0, 99) },
		"loop": func(x *virtiotest.Driver) {
			x.Describe(0, 0, 0x400000, 1, next, 1)
			x.Describe(0, 1, 0x400000, 1, next, 0)
			x.MakeAvailable(0, 0)
		},
		"next out of the table": func(x *virtiotest.Driver) { x.Describe(0, 0, 0x400000, 1, next, 16); x.MakeAvailable(0, 0) },
		"outside of memory":     func(x *virtiotest.Driver) { x.Describe(0, 0, 1<<40, 1, 0, 0); x.MakeAvailable(0, 0) },
		"wraps around":          func(x *virtiotest.Driver) { x.Describe(0, 0, ^uint64(0), 2, 0, 0); x.MakeAvailable(0, 0) },
		"read after write": func(x *virtiotest.Driver) {
			x.Describe(0, 0, 0x400000, 1, next|write, 1)
			x.Describe(0, 1, 0x400000, 1, 0, 0)
			x.MakeAvailable(0, 0)
		},
		"odd indirect table":   func(x *virtiotest.Driver) { x.Describe(0, 0, 0x400000, 17, indirect, 0); x.MakeAvailable(0, 0) },
		"large indirect table": func(x *virtiotest.Driver) { x.Describe(0, 0, 0x400000, 17*16, indirect, 0); x.MakeAvailable(0, 0) },
		"empty indirect table": func(x *virtiotest.Driver) { x.Describe(0, 0, 0x400000, 0, indirect, 0); x.MakeAvailable(0, 0) },
		"table in a table": func(x *virtiotest.Driver) {
			copy(x.Bytes(0x400000, 16), []byte{0, 0, 0x40, 0, 0, 0, 0, 0, 16, 0, 0, 0, indirect, 0, 0, 0})
			x.Describe(0, 0, 0x400000, 16, indirect, 0)
			x.MakeAvailable(0, 0)
		},
		"more than there can be": func(x *virtiotest.Driver) { virtio.Store16(x.Bytes(0x10000+16*16, 4), 2, 17) },
	} {
		t.Run(name, func(t *testing.T) {
			x := virtiotest.Start(t, &echo{}, 16, 0)
			breakRules(x)
			x.Kick(0)
			if why := x.WaitForInterrupt(); why&2 == 0 || !x.NeedsReset() {
				t.Fatalf("interrupt %d, status %d", why, x.Get(0x70))
			}
			x.Init(16, 1|virtio.FeatureVersion1)
			x.Add(0, virtiotest.Piece{Content: []byte("a")}, virtiotest.Piece{Space: 1})
			x.Kick(0)
			if u := x.Next(0); string(u.Data) != "a" {
				t.Errorf("after a reset: %+v", u)
			}
		})
	}
}

func TestIndirectTables(t *testing.T) {
	x := virtiotest.Start(t, &echo{}, 16, 0)
	table := x.Bytes(0x500000, 32)
	copy(table, []byte{0, 0, 0x40, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 1, 0})
	copy(table[16:], []byte{0, 1, 0x40, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0})
	copy(x.Bytes(0x400000, 3), "abc")
	x.Describe(0, 0, 0x500000, 32, 4, 0)
	x.MakeAvailable(0, 0)
	x.Kick(0)
	if u := x.Next(0); u.Written != 3 || string(x.Bytes(0x400100, 3)) != "abc" {
		t.Errorf("%+v", u)
	}
}

func TestFeaturesMustBeOffered(t *testing.T) {
	x := virtiotest.Start(t, &echo{}, 16, 0)
	for features, want := range map[uint64]uint32{0: 3, 1: 3, virtio.FeatureVersion1: 15, virtio.FeatureVersion1 | 2: 3} {
		x.Init(16, features)
		if got := x.Get(0x70); got != want {
			t.Errorf("features %#x: status %d, want %d", features, got, want)
		}
	}
}
