package block

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/virtiotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	diskBytes  = 4 << 20
	usedOffset = 0x18000 // of the first queue, see virtiotest
)

// disk makes a file of random bytes, and returns both.
func disk(t testing.TB, size int) (*os.File, []byte) {
	t.Helper()
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, path, os.O_RDWR), content
}

func open(t testing.TB, path string, flag int) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func device(t testing.TB, c Config) *Device {
	t.Helper()
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// header is what a request begins with.
func header(kind uint32, sector uint64) []byte {
	b := binary.LittleEndian.AppendUint32(nil, kind)
	return binary.LittleEndian.AppendUint64(append(b, 0, 0, 0, 0), sector)
}

// ranges is what a discard is about.
func ranges(parts ...[3]uint64) (b []byte) {
	for _, p := range parts {
		b = binary.LittleEndian.AppendUint64(b, p[0])
		b = binary.LittleEndian.AppendUint32(b, uint32(p[1]))
		b = binary.LittleEndian.AppendUint32(b, uint32(p[2]))
	}
	return b
}

// slots is a driver of which each slot has a place of its own in memory, so that requests
// may be done in any order. It is set up without event indices: it hears of all.
type slots struct {
	*virtiotest.Driver
	size uint64 // of a slot's data
	used []byte
	next uint16
}

func newSlots(t testing.TB, d *Device, size uint64) *slots {
	x := virtiotest.Start(t, d, queueSize, virtio.FeatureEventIndex)
	return &slots{Driver: x, size: size, used: x.Bytes(usedOffset, 4+8*queueSize)}
}

func (s *slots) at(slot int) uint64 { return 4<<20 + uint64(slot)*(s.size+512) }

// data is where the data of a slot is.
func (s *slots) data(slot int) []byte { return s.Bytes(s.at(slot), s.size) }

// submit makes a request available, and kicks.
func (s *slots) submit(slot int, kind uint32, sector, size uint64) {
	const next, write = 1, 2
	start, d := s.at(slot), uint16(slot*3)
	head := s.Bytes(start+s.size, headerSize)
	binary.LittleEndian.PutUint32(head, kind)
	binary.LittleEndian.PutUint64(head[8:], sector)
	s.Bytes(start+s.size+headerSize, 1)[0] = statusPending
	flags := uint16(next)
	if kind == typeIn {
		flags |= write
	}
	s.Describe(0, d, start+s.size, headerSize, next, d+1)
	s.Describe(0, d+1, start, uint32(size), flags, d+2)
	s.Describe(0, d+2, start+s.size+headerSize, 1, write, 0)
	s.MakeAvailable(0, d)
	s.Kick(0)
}

// done waits for a request that was done.
func (s *slots) done() (slot int, status byte) {
	for virtio.Load16(s.used, 2) == s.next {
		s.WaitForInterrupt()
	}
	slot = int(binary.LittleEndian.Uint32(s.used[4+8*int(s.next%queueSize):])) / 3
	s.next++
	return slot, s.Bytes(s.at(slot)+s.size+headerSize, 1)[0]
}

func same(t *testing.T, f *os.File, want []byte) {
	t.Helper()
	got, err := os.ReadFile(f.Name())
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the disk is not as it should be: %v", err)
	}
}
