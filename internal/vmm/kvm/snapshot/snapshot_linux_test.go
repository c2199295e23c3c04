//go:build amd64

package snapshot

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/control"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/memory"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/vm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func example() Header {
	return Header{
		Config:  control.Config{CPUs: 2, MemoryMiB: 3, MAC: "m", Command: "quiet", Disks: []control.Disk{{Serial: "d", ReadOnly: true}}},
		Sectors: []uint64{8},
		VM:      vm.State{CPUs: make([]vm.CPUState, 2), Chips: [][]byte{{1}}, Clock: 5},
		Devices: []virtio.TransportState{{DeviceID: 2, Features: 1 << 32, Queues: []virtio.QueueState{{Size: 8, Ready: true}}, Device: []byte("x")}},
	}
}

func newMemory(t *testing.T, size uint64) *memory.Memory {
	t.Helper()
	m, err := memory.New(size, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func newFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Pages are first, in the middle, last, or none: the file is of one size.
func TestWhatIsWrittenIsRead(t *testing.T) {
	h := example()
	size := uint64(h.Config.MemoryMiB) << 20
	for _, pages := range [][]uint64{nil, {0}, {size - 4096}, {0, 4096, 1 << 20, size - 4096}} {
		m, f := newMemory(t, size), newFile(t)
		for _, p := range pages {
			copy(m.Regions()[0].Bytes[p:], "here")
		}
		if err := Write(f, h, m); err != nil {
			t.Fatal(err)
		}
		got, err := Read(f)
		if err != nil || !reflect.DeepEqual(got, h) {
			t.Errorf("%v, got %+v", err, got)
		}
		if err := got.Fits(h.Config, h.Sectors); err != nil {
			t.Error(err)
		}
		other := newMemory(t, size)
		if err := ReadMemory(f, other); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.Regions()[0].Bytes, other.Regions()[0].Bytes) {
			t.Error("the memory is another")
		}
		if err := Write(f, h, m); err == nil {
			t.Error("it was written over another")
		}
	}
}

func TestTooLargeAState(t *testing.T) {
	h := example()
	h.Config.Command = strings.Repeat("x", Space)
	f := newFile(t)
	if err := Write(f, h, newMemory(t, 3<<20)); err == nil {
		t.Error("it was written")
	}
	if _, err := Read(f); err == nil {
		t.Error("it was read")
	}
}

// FuzzState reads what may be in a file: nothing of it is taken that does not hold
// together, and what is taken is written as it was read.
func FuzzState(f *testing.F) {
	prefix, text, err := example().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(prefix, text)
	f.Add(prefix[:20], text)
	f.Add([]byte{}, []byte{})
	f.Add(prefix, []byte(`{"config":{"cpus":1,"memory_mib":64},"vm":{"cpus":[{}],"chips":[]},"devices":[]}`))
	f.Add(prefix, []byte(`{"config":{"cpus":-1,"memory_mib":9223372036854775807}}`))
	f.Add(prefix, bytes.Repeat([]byte("["), 20000))
	f.Fuzz(func(t *testing.T, prefix, text []byte) {
		if n, err := textLength(prefix); err == nil && (n < 1 || n > Space-prefixSize) {
			t.Errorf("a text of %d bytes", n)
		}
		if h, err := decode(prefix, text); err == nil && (h.Config.CPUs < 1 || h.Config.MemoryMiB < 1) {
			t.Errorf("read %+v", h.Config)
		}
		h, err := parse(text)
		if err != nil {
			return
		}
		if len(h.VM.CPUs) != h.Config.CPUs || int64(h.Config.MemoryMiB)<<20 <= 0 || len(h.Config.Disks) != len(h.Sectors) {
			t.Errorf("read %+v", h.Config)
		}
		_ = h.Fits(h.Config, h.Sectors)
		prefix, again, err := h.encode()
		if err != nil {
			return
		}
		if got := binary.LittleEndian.Uint32(prefix[len(magic)+4:]); int(got) != len(again) {
			t.Errorf("a text of %d bytes is told as one of %d", len(again), got)
		}
		if _, err := decode(prefix, again); err != nil {
			t.Errorf("what was written can't be read: %v", err)
		}
	})
}
