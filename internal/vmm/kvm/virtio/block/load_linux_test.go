package block

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/virtiotest"
)

const (
	depth     = 32
	slotBytes = 64 << 10
)

// model is what the disk should be, and which sectors of it requests are on their way for.
type model struct {
	*slots
	t       testing.TB
	random  *rand.Rand
	content []byte
	busy    []bool
	flying  [depth]flight
}

type flight struct {
	kind      uint32
	sector, n uint64
}

// fly begins a random request, of sectors that no other one is about.
func (m *model) fly(slot int) {
	var r flight
	for {
		r.n = 1 + m.random.Uint64N(slotBytes/512)
		r.sector = m.random.Uint64N(uint64(len(m.busy)) - r.n)
		isFree := true
		for _, b := range m.busy[r.sector:][:r.n] {
			isFree = isFree && !b
		}
		if isFree {
			break
		}
	}
	for i := range r.n {
		m.busy[r.sector+i] = true
	}
	part, size := m.content[r.sector*512:][:r.n*512], r.n*512
	data := m.data(slot)
	switch n := m.random.IntN(100); {
	case n < 45:
		r.kind = typeIn
		for i := range data[:size] {
			data[i] = 0xee
		}
	case n < 90:
		r.kind = typeOut
		for i := 0; i < len(part); i += 8 {
			binary.LittleEndian.PutUint64(part[i:], m.random.Uint64())
		}
		copy(data, part)
	case n < 97:
		r.kind, size = typeWriteZeroes, rangeSize
		copy(data, ranges([3]uint64{r.sector, r.n, m.random.Uint64N(2)}))
		clear(part)
	default:
		r.kind, size = typeFlush, 1
	}
	m.flying[slot] = r
	m.submit(slot, r.kind, r.sector, size)
}

// land waits for a request, and checks it.
func (m *model) land() (slot int) {
	m.t.Helper()
	slot, status := m.done()
	r := m.flying[slot]
	if r.n == 0 || status != statusOK {
		m.t.Fatalf("request %+v in slot %d: status %d", r, slot, status)
	}
	if r.kind == typeIn && !bytes.Equal(m.data(slot)[:r.n*512], m.content[r.sector*512:][:r.n*512]) {
		m.t.Fatalf("request %+v read something else", r)
	}
	for i := range r.n {
		m.busy[r.sector+i] = false
	}
	m.flying[slot] = flight{}
	return slot
}

// TestModel does random requests, many at a time, and compares what comes of them with a
// model. Now and then the page cache is emptied, so that reads wait; the device is paused;
// or another one takes its place.
func TestModel(t *testing.T) {
	f, content := disk(t, 16<<20)
	requests := 6000
	if testing.Short() {
		requests = 2000
	}
	m := &model{
		slots: newSlots(t, device(t, Config{File: f}), slotBytes), t: t, random: rand.New(rand.NewPCG(1, 2)),
		content: content, busy: make([]bool, len(content)/512),
	}
	for slot := range depth {
		m.fly(slot)
	}
	for i := range requests {
		m.fly(m.land())
		switch i % 1000 {
		case 0:
			_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		case 250, 500:
			m.Transport.Pause()
			if i%2000 == 250 {
				m.Transport.Resume() // there is something to do already
				continue
			}
			state, err := m.Transport.Save()
			if err != nil {
				t.Fatal(err)
			}
			m.Restart(device(t, Config{File: f}), state)
		}
	}
	for range depth {
		m.land()
	}
	if m.NeedsReset() {
		t.Error("the device needs a reset")
	}
	m.Transport.Pause()
	same(t, f, content)
}

// blocked is a device whose flushes wait until they may end.
func blocked(t *testing.T) (d *Device, began chan struct{}, end func()) {
	f, _ := disk(t, diskBytes)
	d = device(t, Config{File: f})
	began, may := make(chan struct{}, 10*queueSize), make(chan struct{})
	d.datasync = func(int) error {
		began <- struct{}{}
		<-may
		return nil
	}
	end = sync.OnceFunc(func() { close(may) })
	t.Cleanup(end)
	return d, began, end
}

// TestSlowRequestsAreNotInTheWay reads while all workers are busy.
func TestSlowRequestsAreNotInTheWay(t *testing.T) {
	d, began, end := blocked(t)
	s := newSlots(t, d, 4096)
	defer end()
	for slot := range 2 * maxWorkers {
		s.submit(slot, typeFlush, 0, 1)
	}
	for range maxWorkers {
		<-began
	}
	for i := range uint64(100) {
		s.submit(60, typeIn, i*8, 4096)
		if slot, status := s.done(); slot != 60 || status != statusOK {
			t.Fatalf("slot %d: status %d", slot, status)
		}
	}
	if len(began) != 0 {
		t.Errorf("there are more than %d workers", maxWorkers)
	}
	end()
	for range 2 * maxWorkers {
		if slot, status := s.done(); slot >= 2*maxWorkers || status != statusOK {
			t.Errorf("slot %d: status %d", slot, status)
		}
	}
}

// TestStopWaits pauses the device while requests are on their way: they are done before.
func TestStopWaits(t *testing.T) {
	d, began, end := blocked(t)
	s := newSlots(t, d, 4096)
	defer end()
	for slot := range 2 * maxWorkers {
		s.submit(slot, typeFlush, 0, 1)
	}
	<-began
	paused := make(chan struct{})
	go func() {
		defer close(paused)
		s.Transport.Pause()
	}()
	select {
	case <-paused:
		t.Error("the device stopped with a request on its way")
	default:
	}
	end()
	<-paused
	before := virtio.Load16(s.used, 2)
	if before == 0 {
		t.Error("no request was done")
	}
	d.pool.mu.Lock()
	if d.pool.n != 0 || d.pool.first != nil {
		t.Error("there are workers still")
	}
	d.pool.mu.Unlock()
	s.Transport.Resume()
	for range 2 * maxWorkers { // those that were not taken before the pause are now
		if _, status := s.done(); status != statusOK {
			t.Errorf("status %d", status)
		}
	}
}

// TestMoreThanThereCanBe has a driver make the same requests available again and again:
// the device takes no more than it has room for.
func TestMoreThanThereCanBe(t *testing.T) {
	d, began, end := blocked(t)
	x := virtiotest.Start(t, d, 4, virtio.FeatureEventIndex)
	defer end()
	x.Add(0, content(header(typeFlush, 0)), space(1))
	for range 3 {
		x.MakeAvailable(0, 0)
	}
	x.Kick(0)
	for range 4 {
		<-began
	}
	for range 4 {
		x.MakeAvailable(0, 0)
	}
	x.Kick(0)
	used := x.Bytes(usedOffset, 4)
	if n := virtio.Load16(used, 2); n != 0 || len(began) != 0 {
		t.Errorf("%d requests are done, %d more are taken", n, len(began))
	}
	end()
	for virtio.Load16(used, 2) != 8 {
		x.WaitForInterrupt()
	}
}
