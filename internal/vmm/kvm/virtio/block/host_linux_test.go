package block

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/virtiotest"
)

// TestErrorsOfTheHost has the host fail: the guest is told, and goes on.
func TestErrorsOfTheHost(t *testing.T) {
	f, want := disk(t, diskBytes)
	var log bytes.Buffer
	d := device(t, Config{File: open(t, f.Name(), os.O_RDONLY), Log: slog.New(slog.NewTextHandler(&log, nil))})
	d.datasync = func(int) error { return unix.EIO }
	d.fallocate = func(int, uint32, int64, int64) error { return unix.ENOSPC }
	x := virtiotest.Start(t, d, queueSize, 0)
	for kind, c := range map[uint32]virtiotest.Piece{
		typeOut: content(make([]byte, 512)), typeFlush: content([]byte{}),
		typeDiscard: content(ranges([3]uint64{0, 1, 0})), typeWriteZeroes: content(ranges([3]uint64{0, 1, 0})),
	} {
		for range 3 {
			if _, status, written := do(x, 0, content(header(kind, 0)), c, space(1)); status != statusError || written != 1 {
				t.Errorf("request %d: status %d, %d written", kind, status, written)
			}
		}
	}
	if data, status, _ := do(x, 0, content(header(typeIn, 0)), space(512), space(1)); status != statusOK || !bytes.Equal(data, want[:512]) {
		t.Errorf("read: status %d", status)
	}
	x.Transport.Pause()
	if n := bytes.Count(log.Bytes(), []byte("\n")); n != 1 {
		t.Errorf("%d messages: %s", n, &log)
	}
	same(t, f, want)
}

// TestZeroesWithoutHelp writes zeros where the host's file system has no holes.
func TestZeroesWithoutHelp(t *testing.T) {
	const hole, zero = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE
	f, want := disk(t, diskBytes)
	var mu sync.Mutex
	var modes []uint32
	d := device(t, Config{File: f})
	works := uint32(0)
	interrupted := false
	d.fallocate = func(fd int, mode uint32, offset, size int64) error {
		mu.Lock()
		defer mu.Unlock()
		if interrupted = !interrupted; interrupted {
			return unix.EINTR
		}
		modes = append(modes, mode)
		switch {
		case mode != works && len(modes)%2 == 0:
			return unix.EINVAL
		case mode != works:
			return unix.EOPNOTSUPP
		}
		return unix.Fallocate(fd, mode, offset, size)
	}
	x := virtiotest.Start(t, d, queueSize, 0)
	for i, c := range []struct {
		kind, works uint32
		flag        uint64
		modes       []uint32
	}{
		{typeWriteZeroes, zero, 0, []uint32{zero}},
		{typeWriteZeroes, hole, 0, []uint32{zero, hole}},
		{typeWriteZeroes, 0, 0, []uint32{zero, hole}},
		{typeWriteZeroes, hole, flagUnmap, []uint32{hole}},
		{typeWriteZeroes, zero, flagUnmap, []uint32{hole, zero}},
		{typeWriteZeroes, 0, flagUnmap, []uint32{hole, zero}},
		{typeDiscard, 0, 0, []uint32{hole}},
	} {
		mu.Lock()
		modes, works = nil, c.works
		mu.Unlock()
		at := uint64(i*1024 + 1)
		if _, status, _ := do(x, 0, content(header(c.kind, 0)), content(ranges([3]uint64{at, 1022, c.flag})), space(1)); status != statusOK {
			t.Errorf("%+v: status %d", c, status)
		}
		mu.Lock()
		if !slices.Equal(modes, c.modes) {
			t.Errorf("%+v: modes %v", c, modes)
		}
		mu.Unlock()
		if c.kind == typeWriteZeroes {
			clear(want[at*512:][:1022*512])
		}
	}
	same(t, f, want)
}

// TestShorterFiles has somebody cut off a part of the disk: it reads as zero.
func TestShorterFiles(t *testing.T) {
	f, want := disk(t, diskBytes)
	x := virtiotest.Start(t, device(t, Config{File: f}), queueSize, 0)
	if err := f.Truncate(diskBytes - 1000); err != nil {
		t.Fatal(err)
	}
	clear(want[diskBytes-1000:])
	for _, n := range []int{4096, 1024, 512} {
		full := bytes.Repeat([]byte{0xaa}, n)
		head, address := x.Add(0, content(header(typeIn, uint64(diskBytes-n)/512)), space(100), space(n-100), space(1))
		copy(x.Bytes(address+headerSize, uint64(n)), full)
		x.Kick(0)
		if u := x.Next(0); u.Head != head || u.Written != uint32(n)+1 || u.Data[n] != statusOK || !bytes.Equal(u.Data[:n], want[diskBytes-n:]) {
			t.Errorf("%d bytes: status %d, %d written", n, u.Data[n], u.Written)
		}
	}
}

// TestLargeVectors moves more pieces than the kernel takes at once.
func TestLargeVectors(t *testing.T) {
	f, want := disk(t, diskBytes)
	d := device(t, Config{File: f})
	const n, size = 3*maxVector + 7, 512
	memory := make([]byte, n*size)
	r := &request{sector: 2}
	pieces := [][]byte{memory[:3]} // of which nothing is used
	for i := range n {
		pieces = append(pieces, memory[i*size:][:size])
	}
	r.aim(pieces, 3, n*size)
	if err := d.read(r, 0); err != nil || r.moved != n*size || len(r.left) != 0 {
		t.Fatalf("%d bytes were read: %v", r.moved, err)
	}
	if !bytes.Equal(memory, want[1024:][:n*size]) {
		t.Error("what was read is something else")
	}
	for i := range memory {
		memory[i] ^= 0x5a
	}
	copy(want[512:], memory)
	r.sector, r.moved, r.vector = 1, 0, r.vector[:0]
	r.aim(pieces, 3, n*size)
	if err := d.write(r, 0); err != nil || r.moved != n*size {
		t.Fatalf("%d bytes were written: %v", r.moved, err)
	}
	same(t, f, want)
}

// TestStableWrites has a driver that does not flush: its writes are on disk when they are
// done (5.2.6.2).
func TestStableWrites(t *testing.T) {
	f, want := disk(t, diskBytes)
	d := device(t, Config{File: f})
	var synced atomic.Int32
	d.datasync = func(int) error { synced.Add(1); return nil }
	x := virtiotest.Start(t, d, queueSize, featureFlush)
	clear(want[:512])
	if _, status, _ := do(x, 0, content(header(typeOut, 0)), content(want[:512]), space(1)); status != statusOK {
		t.Errorf("write: status %d", status)
	}
	clear(want[512:1024])
	if _, status, _ := do(x, 0, content(header(typeWriteZeroes, 0)), content(ranges([3]uint64{1, 1, 0})), space(1)); status != statusOK {
		t.Errorf("zeros: status %d", status)
	}
	if n := synced.Load(); n != 1 {
		t.Errorf("%d flushes", n)
	}
	same(t, f, want)
}

// TestHostsThatAlwaysWait has no RWF_NOWAIT.
func TestHostsThatAlwaysWait(t *testing.T) {
	f, want := disk(t, diskBytes)
	d := device(t, Config{File: f})
	d.waitlessReads.Store(false)
	d.waitlessWrites.Store(false)
	x := virtiotest.Start(t, d, queueSize, 0)
	if data, status, _ := do(x, 0, content(header(typeIn, 0)), space(4096), space(1)); status != statusOK || !bytes.Equal(data, want[:4096]) {
		t.Errorf("read: status %d", status)
	}
	copy(want, bytes.Repeat([]byte{7}, 4096))
	if _, status, _ := do(x, 0, content(header(typeOut, 0)), content(want[:4096]), space(1)); status != statusOK {
		t.Errorf("write: status %d", status)
	}
	same(t, f, want)
}

func TestStateIsNone(t *testing.T) {
	f, _ := disk(t, 512)
	d := device(t, Config{File: f})
	if state, err := d.Save(); state != nil || err != nil {
		t.Errorf("%q, %v", state, err)
	}
	if err := errors.Join(d.Restore(nil), d.Restore([]byte{})); err != nil {
		t.Error(err)
	}
	if d.Restore([]byte("{}")) == nil {
		t.Error("it took a state")
	}
}

// TestDiscardsGiveBack has the host get back what is discarded.
func TestDiscardsGiveBack(t *testing.T) {
	f, _ := disk(t, diskBytes)
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096); errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("the file system has no holes")
	}
	x := virtiotest.Start(t, device(t, Config{File: f}), queueSize, 0)
	if _, status, _ := do(x, 0, content(header(typeFlush, 0)), space(1)); status != statusOK {
		t.Fatalf("flush: status %d", status)
	}
	if _, status, _ := do(x, 0, content(header(typeDiscard, 0)), content(ranges([3]uint64{0, diskBytes / 512, 0})), space(1)); status != statusOK {
		t.Fatalf("discard: status %d", status)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil || stat.Blocks > diskBytes/512/8 || stat.Size != diskBytes {
		t.Errorf("%d blocks are left of a file of %d bytes: %v", stat.Blocks, stat.Size, err)
	}
}

// TestMostPieces reads and writes as many pieces as the driver may pass, all in one
// indirect table, as Linux does.
func TestMostPieces(t *testing.T) {
	const next, write, indirect, table, start, size = 1, 2, 4, 12 << 20, 4 << 20, 4096
	f, want := disk(t, diskBytes)
	before := bytes.Clone(want)
	x := virtiotest.Start(t, device(t, Config{File: f}), queueSize, virtio.FeatureEventIndex)
	for i, kind := range []uint32{typeIn, typeOut} {
		add := func(n int, address, length uint64, flags uint16) {
			b := x.Bytes(uint64(table+16*n), 16)
			binary.LittleEndian.PutUint64(b, address)
			binary.LittleEndian.PutUint32(b[8:], uint32(length))
			binary.LittleEndian.PutUint16(b[12:], flags)
			binary.LittleEndian.PutUint16(b[14:], uint16(n+1))
		}
		flags := uint16(next)
		if kind == typeIn {
			flags |= write
		}
		head := uint64(table + 16*queueSize)
		copy(x.Bytes(head, headerSize), header(kind, uint64(i)))
		x.Bytes(head+headerSize, 1)[0] = statusPending
		add(0, head, headerSize, next)
		for n := range segMax { // from the last to the first, so that none follows another
			add(n+1, uint64(start+(segMax-1-n)*size), size, flags)
		}
		add(segMax+1, head+headerSize, 1, write)
		x.Describe(0, uint16(i), table, queueSize*16, indirect, 0)
		x.MakeAvailable(0, uint16(i))
		x.Kick(0)
		for used := x.Bytes(usedOffset, 4); int(virtio.Load16(used, 2)) != i+1; {
			x.WaitForInterrupt()
		}
		if status := x.Bytes(head+headerSize, 1)[0]; status != statusOK {
			t.Fatalf("request %d: status %d", kind, status)
		}
		for n := range segMax {
			data := x.Bytes(uint64(start+(segMax-1-n)*size), size)
			if kind == typeIn && !bytes.Equal(data, before[n*size:][:size]) {
				t.Fatalf("piece %d is another", n)
			}
			for j := range data {
				data[j] ^= 0x33 // what is written next
			}
			if kind == typeIn {
				copy(want[512+n*size:], data)
			}
		}
	}
	same(t, f, want)
}
