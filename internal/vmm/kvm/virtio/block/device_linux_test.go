package block

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/virtiotest"
)

func TestConfiguration(t *testing.T) {
	f, _ := disk(t, diskBytes)
	le := binary.LittleEndian
	for name, c := range map[string]struct {
		config   Config
		features uint64
		queues   uint16
		discard  uint32
	}{
		"one queue":   {Config{File: f}, 1<<2 | 1<<6 | 1<<9 | 1<<10 | 1<<13 | 1<<14, 1, 8 << 20},
		"four queues": {Config{File: f, Queues: 4}, 1<<2 | 1<<6 | 1<<9 | 1<<10 | 1<<12 | 1<<13 | 1<<14, 4, 8 << 20},
		"read-only":   {Config{File: f, ReadOnly: true}, 1<<2 | 1<<5 | 1<<6 | 1<<9 | 1<<10, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := device(t, c.config)
			x := virtiotest.Start(t, d, queueSize, 0)
			if got := d.Features(); got != c.features {
				t.Errorf("features %#x, want %#x", got, c.features)
			}
			b := x.Config(0, 64)
			if le.Uint64(b) != diskBytes/512 || le.Uint32(b[12:]) != 254 || le.Uint32(b[20:]) != 512 {
				t.Errorf("capacity, seg_max or blk_size: % x", b)
			}
			if le.Uint16(b[34:]) != c.queues || le.Uint32(b[36:]) != c.discard || len(d.QueueSizes()) != int(c.queues) {
				t.Errorf("num_queues or max_discard_sectors: % x", b)
			}
			if b[33] != 0 || !bytes.Equal(b[57:], make([]byte, 7)) {
				t.Errorf("what is not used is not zero: % x", b)
			}
			x.Transport.Write(0x100, []byte{1, 2, 3, 4}) // nothing comes of it
			if !bytes.Equal(x.Config(0, 64), b) {
				t.Error("the driver has changed the configuration")
			}
		})
	}
}

func TestDisksThatAreNone(t *testing.T) {
	dir := t.TempDir()
	odd := filepath.Join(dir, "odd")
	if err := os.WriteFile(odd, make([]byte, 513), 0o600); err != nil {
		t.Fatal(err)
	}
	f, _ := disk(t, 512)
	closed, _ := disk(t, 512)
	_ = closed.Close()
	for name, c := range map[string]Config{
		"not a multiple":  {File: open(t, odd, os.O_RDWR)},
		"a directory":     {File: open(t, dir, os.O_RDONLY)},
		"a character":     {File: open(t, "/dev/zero", os.O_RDWR)},
		"closed":          {File: closed},
		"long serial":     {File: f, Serial: strings.Repeat("x", 21)},
		"too many queues": {File: f, Queues: maxQueues + 1},
		"fewer than none": {File: f, Queues: -1},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: there is no error", name)
		}
	}
}

// do has one request done, whose pieces are what a driver passes, and returns what came
// back.
func do(x *virtiotest.Driver, n int, pieces ...virtiotest.Piece) (data []byte, status byte, written uint32) {
	x.Add(n, pieces...)
	x.Kick(n)
	u := x.Next(n)
	last := len(u.Data) - 1
	return u.Data[:last], u.Data[last], u.Written
}

func content(b ...[]byte) virtiotest.Piece { return virtiotest.Piece{Content: bytes.Join(b, nil)} }
func space(n int) virtiotest.Piece         { return virtiotest.Piece{Space: n} }

func TestRequests(t *testing.T) {
	f, want := disk(t, diskBytes)
	x := virtiotest.Start(t, device(t, Config{File: f, Serial: "disk-1", Queues: 2}), queueSize, 0)
	for n := range 2 {
		data, status, written := do(x, n, content(header(typeIn, 3)), space(1024), space(1))
		if status != statusOK || written != 1025 || !bytes.Equal(data, want[3*512:][:1024]) {
			t.Errorf("read: status %d, %d written", status, written)
		}
		for i := range 2048 {
			want[7*512+i] = byte(i * (n + 2))
		}
		if _, status, written = do(x, n, content(header(typeOut, 7)), content(want[7*512:][:2048]), space(1)); status != statusOK || written != 1 {
			t.Errorf("write: status %d, %d written", status, written)
		}
		if _, status, written = do(x, n, content(header(typeFlush, 0)), space(1)); status != statusOK || written != 1 {
			t.Errorf("flush: status %d, %d written", status, written)
		}
		data, status, written = do(x, n, content(header(typeID, 0)), space(20), space(1))
		if status != statusOK || written != 21 || string(data) != "disk-1"+strings.Repeat("\x00", 14) {
			t.Errorf("id %q: status %d, %d written", data, status, written)
		}
		for _, c := range []struct {
			kind uint32
			flag uint64
		}{{typeDiscard, 0}, {typeWriteZeroes, 0}, {typeWriteZeroes, flagUnmap}} {
			at := uint64(100*n + int(c.kind) + int(c.flag)*31)
			all := ranges([3]uint64{at, 1, c.flag}, [3]uint64{at + 1000, 20, c.flag}, [3]uint64{at, 0, c.flag})
			if _, status, written = do(x, n, content(header(c.kind, 0)), content(all), space(1)); status != statusOK || written != 1 {
				t.Errorf("%+v: status %d, %d written", c, status, written)
			}
			clear(want[at*512:][:512])
			clear(want[(at+1000)*512:][:20*512])
		}
	}
	same(t, f, want)
}

func TestRequestsThatFail(t *testing.T) {
	const sectors = diskBytes / 512
	f, want := disk(t, diskBytes)
	block := content(make([]byte, 512))
	x := virtiotest.Start(t, device(t, Config{File: f}), queueSize, 0)
	many := make([][3]uint64, maxRanges+1)
	for name, c := range map[string]struct {
		status byte
		pieces []virtiotest.Piece
	}{
		"unknown":                 {statusUnsupported, []virtiotest.Piece{content(header(99, 0))}},
		"secure erase":            {statusUnsupported, []virtiotest.Piece{content(header(14, 0)), content(ranges([3]uint64{0, 1, 0}))}},
		"lifetime":                {statusUnsupported, []virtiotest.Piece{content(header(10, 0)), space(6)}},
		"read beyond":             {statusError, []virtiotest.Piece{content(header(typeIn, sectors)), space(512)}},
		"read across the end":     {statusError, []virtiotest.Piece{content(header(typeIn, sectors-1)), space(1024)}},
		"read wraps around":       {statusError, []virtiotest.Piece{content(header(typeIn, 1<<64-1)), space(1024)}},
		"read far beyond":         {statusError, []virtiotest.Piece{content(header(typeIn, 1<<55)), space(512)}},
		"read of half a sector":   {statusError, []virtiotest.Piece{content(header(typeIn, 0)), space(511)}},
		"write beyond":            {statusError, []virtiotest.Piece{content(header(typeOut, sectors)), block}},
		"write of half a sector":  {statusError, []virtiotest.Piece{content(header(typeOut, 0)), content(make([]byte, 100))}},
		"short id":                {statusError, []virtiotest.Piece{content(header(typeID, 0)), space(19)}},
		"discard of nothing":      {statusError, []virtiotest.Piece{content(header(typeDiscard, 0))}},
		"discard of half a range": {statusError, []virtiotest.Piece{content(header(typeDiscard, 0)), content(make([]byte, 24))}},
		"discard with unmap":      {statusUnsupported, []virtiotest.Piece{content(header(typeDiscard, 0)), content(ranges([3]uint64{0, 1, 1}))}},
		"discard with a flag":     {statusUnsupported, []virtiotest.Piece{content(header(typeDiscard, 0)), content(ranges([3]uint64{0, 1, 2}))}},
		"zeros with a flag":       {statusUnsupported, []virtiotest.Piece{content(header(typeWriteZeroes, 0)), content(ranges([3]uint64{0, 1, 0}, [3]uint64{0, 1, 3}))}},
		"flag and beyond":         {statusUnsupported, []virtiotest.Piece{content(header(typeWriteZeroes, 0)), content(ranges([3]uint64{sectors, 1, 0}, [3]uint64{0, 1, 3}))}},
		"many ranges":             {statusUnsupported, []virtiotest.Piece{content(header(typeDiscard, 0)), content(ranges(many...))}},
		"discard beyond":          {statusError, []virtiotest.Piece{content(header(typeDiscard, 0)), content(ranges([3]uint64{0, 1, 0}, [3]uint64{sectors, 1, 0}))}},
		"zeros across the end":    {statusError, []virtiotest.Piece{content(header(typeWriteZeroes, 0)), content(ranges([3]uint64{sectors - 1, 2, 0}))}},
		"zeros wrap around":       {statusError, []virtiotest.Piece{content(header(typeWriteZeroes, 0)), content(ranges([3]uint64{1<<64 - 1, 2, 0}))}},
		"large discard":           {statusError, []virtiotest.Piece{content(header(typeDiscard, 0)), content(ranges([3]uint64{0, maxDiscard + 1, 0}))}},
		"large zeros":             {statusError, []virtiotest.Piece{content(header(typeWriteZeroes, 0)), content(ranges([3]uint64{0, maxZeroes + 1, 0}))}},
	} {
		if _, status, _ := do(x, 0, append(c.pieces, space(1))...); status != c.status {
			t.Errorf("%s: status %d, want %d", name, status, c.status)
		}
	}
	for name, kind := range map[string]uint32{"read of nothing": typeIn, "write of nothing": typeOut} {
		if _, status, written := do(x, 0, content(header(kind, sectors)), space(1)); status != statusOK || written != 1 {
			t.Errorf("%s: status %d, %d written", name, status, written)
		}
	}
	same(t, f, want)
}

func TestReadOnlyDisks(t *testing.T) {
	f, want := disk(t, diskBytes)
	x := virtiotest.Start(t, device(t, Config{File: f, ReadOnly: true}), queueSize, 0)
	for kind, c := range map[uint32]virtiotest.Piece{
		typeOut: content(make([]byte, 512)), typeDiscard: content(ranges([3]uint64{0, 1, 0})), typeWriteZeroes: content(ranges([3]uint64{0, 1, 0})),
	} {
		if _, status, _ := do(x, 0, content(header(kind, 0)), c, space(1)); status != statusError {
			t.Errorf("request %d: status %d", kind, status)
		}
	}
	if data, status, _ := do(x, 0, content(header(typeIn, 0)), space(512), space(1)); status != statusOK || !bytes.Equal(data, want[:512]) {
		t.Errorf("read: status %d", status)
	}
	if _, status, _ := do(x, 0, content(header(typeFlush, 0)), space(1)); status != statusOK {
		t.Errorf("flush: status %d", status)
	}
	same(t, f, want)
}

// TestFramings divides requests in other ways than Linux does (2.7.4.1).
func TestFramings(t *testing.T) {
	f, want := disk(t, diskBytes)
	x := virtiotest.Start(t, device(t, Config{File: f, Serial: "12345678901234567890"}), queueSize, 0)
	h := header(typeIn, 5)
	for name, pieces := range map[string][]virtiotest.Piece{
		"header in two":       {content(h[:3]), content(h[3:]), space(1024), space(1)},
		"header in bytes":     {content(h[:1]), content(h[1:2]), content(h[2:15]), content(h[15:]), space(1024), space(1)},
		"more than a header":  {content(h, []byte("more")), space(1024), space(1)},
		"status with data":    {content(h), space(1025)},
		"odd pieces":          {content(h), space(1), space(510), space(2), space(511), space(1)},
		"status with a piece": {content(h), space(1000), space(25)},
		"empty pieces":        {content(h), content(nil, []byte{}), space(0), space(1024), space(0), space(1), space(0)},
	} {
		if data, status, written := do(x, 0, pieces...); status != statusOK || written != 1025 || !bytes.Equal(data, want[5*512:][:1024]) {
			t.Errorf("read, %s: status %d, %d written", name, status, written)
		}
	}
	h = header(typeOut, 5)
	for i, divide := range [][]int{{8}, {16, 17}, {1, 2, 3, 500}, {100}, {16 + 1024}} {
		for j := range 1024 {
			want[5*512+j] = byte(i + j)
		}
		all := append(bytes.Clone(h), want[5*512:][:1024]...)
		var pieces []virtiotest.Piece
		last := 0
		for _, at := range divide {
			pieces, last = append(pieces, content(all[last:at])), at
		}
		if last < len(all) {
			pieces = append(pieces, content(all[last:]))
		}
		if _, status, written := do(x, 0, append(pieces, space(1))...); status != statusOK || written != 1 {
			t.Errorf("write, divided at %v: status %d, %d written", divide, status, written)
		}
		same(t, f, want)
	}
	data, status, written := do(x, 0, content(header(typeID, 0)), space(7), space(8), space(10))
	if status != statusOK || written != 20 || string(data[:20]) != "12345678901234567890" {
		t.Errorf("id %q: status %d, %d written", data, status, written)
	}
	r := ranges([3]uint64{9, 1, 0}, [3]uint64{20, 1, 0})
	if _, status, _ = do(x, 0, content(header(typeWriteZeroes, 0), r[:5]), content(r[5:20]), content(r[20:]), space(1)); status != statusOK {
		t.Errorf("zeros: status %d", status)
	}
	clear(want[9*512:][:512])
	clear(want[20*512:][:512])
	same(t, f, want)
}

// TestBrokenRules has requests that can't be answered: the device stops, and says so.
func TestBrokenRules(t *testing.T) {
	f, want := disk(t, diskBytes)
	for name, pieces := range map[string][]virtiotest.Piece{
		"no header":    {space(1)},
		"short header": {content(make([]byte, 15)), space(1)},
		"no status":    {content(header(typeFlush, 0))},
		"empty status": {content(header(typeOut, 0), make([]byte, 512)), space(0)},
	} {
		t.Run(name, func(t *testing.T) {
			x := virtiotest.Start(t, device(t, Config{File: f}), queueSize, 0)
			x.Add(0, pieces...)
			x.Kick(0)
			for x.WaitForInterrupt()&2 == 0 {
				// one for the queue, in which nothing is
			}
			if _, ok := x.Poll(0); ok || !x.NeedsReset() {
				t.Fatal("the device goes on")
			}
			x.Init(queueSize, virtio.FeatureVersion1|featureFlush)
			if data, status, _ := do(x, 0, content(header(typeIn, 1)), space(512), space(1)); status != statusOK || !bytes.Equal(data, want[512:1024]) {
				t.Errorf("after a reset: status %d", status)
			}
		})
	}
	same(t, f, want)
}
