//go:build amd64

package vm

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/event"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testBus notes what is stored, and answers loads with the address.
type testBus struct {
	mu     sync.Mutex
	stores []uint64
}

func (*testBus) Read(address uint64, p []byte) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], address)
	copy(p, b[:])
}

func (b *testBus) Write(address uint64, p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var v [8]byte
	copy(v[:], p)
	b.stores = append(b.stores, address, binary.LittleEndian.Uint64(v[:]))
}

// The pieces that tiny guests are made of. They run in 32-bit protected mode.
const (
	codeStart = 0x1000
	console   = "\x66\xba\xf8\x03" // mov dx, 0x3f8
	reset     = "\xb0\xfe\xe6\x64" // mov al, 0xfe; out 0x64, al
	forever   = "\xeb\xfe"         // jmp .
	undefined = "\x0f\x0b"         // ud2
)

func say(text string) string {
	code := console
	for _, b := range []byte(text) {
		code += "\xb0" + string([]byte{b}) + "\xee" // mov al, b; out dx, al
	}
	return code
}

// start runs a tiny guest, or skips the test where none runs.
func start(t *testing.T, cpus int, code string) (*VM, *testBus, func() string) {
	t.Helper()
	kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		t.Skip("this host has no /dev/kvm that this user may open:", err)
	}
	defer kvm.Close()
	m, err := memory.New(1<<20, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	copy(m.Regions()[0].Bytes[codeStart:], code)
	bus := &testBus{}
	var mu sync.Mutex
	var said bytes.Buffer
	v, err := New(kvm, Config{Memory: m, CPUs: cpus, Bus: bus, Early: func(b byte) {
		mu.Lock()
		defer mu.Unlock()
		said.WriteByte(b)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		v.Stop(errors.New("the test is over"))
		v.Wait()
		v.Close()
	})
	if err := v.Enter(codeStart, 0x1234); err != nil {
		t.Fatal(err)
	}
	v.Run()
	return v, bus, func() string {
		mu.Lock()
		defer mu.Unlock()
		return said.String()
	}
}

func TestGuestEndsItself(t *testing.T) {
	v, _, said := start(t, 1, say("hello")+reset+forever)
	if end := v.Wait(); !end.Reset || end.Err != nil || said() != "hello" {
		t.Errorf("it said %q, and ended %+v", said(), end)
	}
}

func TestTripleFault(t *testing.T) {
	v, _, _ := start(t, 1, undefined)
	if end := v.Wait(); !end.TripleFault || !strings.Contains(end.Registers, "RIP=0x") {
		t.Errorf("it ended %+v", end)
	}
}

func TestStopFromOutside(t *testing.T) {
	v, _, _ := start(t, 3, forever)
	want := errors.New("enough")
	v.Stop(want)
	if end := v.Wait(); !errors.Is(end.Err, want) {
		t.Errorf("it ended %+v", end)
	}
}

func TestPausedGuestStandsStill(t *testing.T) {
	// A counter that never stands still.
	v, _, _ := start(t, 2, "\xff\x05\x00\x20\x00\x00"+"\xeb\xf8") // inc dword [0x2000]; jmp back
	counter := v.config.Memory.Regions()[0].Bytes[0x2000:0x2004]
	count := func() uint32 { return binary.LittleEndian.Uint32(counter) }
	v.Resume() // it is not paused
	for range 20 {
		before := count()
		for deadline := time.Now().Add(time.Minute); count() == before; {
			if time.Now().After(deadline) {
				t.Fatal("it does not run")
			}
		}
		v.Pause()
		still := count()
		for range 1000 {
			if count() != still {
				t.Fatal("it runs while it is paused")
			}
		}
		v.Resume()
	}
	v.Pause()
	v.Stop(errors.New("enough"))
	v.Wait()
}

func TestLoadsAndStores(t *testing.T) {
	// mov eax, [0xd0000010]; mov [0xd0000020], eax
	v, bus, _ := start(t, 1, "\xa1\x10\x00\x00\xd0"+"\xa3\x20\x00\x00\xd0"+reset+forever)
	end := v.Wait()
	if end.Err != nil && strings.Contains(end.Err.Error(), "internal error") {
		t.Skip("this host's KVM can't emulate loads and stores:", end.Err)
	}
	if !end.Reset || len(bus.stores) != 2 || bus.stores[0] != 0xd0000020 || bus.stores[1] != 0xd0000010 {
		t.Errorf("stores %#x, end %+v", bus.stores, end)
	}
}

// TestWatchedStoresRaiseEvents: the guest does not leave for these.
func TestWatchedStoresRaiseEvents(t *testing.T) {
	v, bus, _ := start(t, 1, forever)
	v.Pause()
	e, err := event.New()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := v.Watch(e, 0xd0000050, 7); err != nil {
		t.Fatal(err)
	}
	// mov eax, 7; mov [0xd0000050], eax
	copy(v.config.Memory.Regions()[0].Bytes[codeStart+0x100:], "\xb8\x07\x00\x00\x00\xa3\x50\x00\x00\xd0"+reset+forever)
	if err := v.Enter(codeStart+0x100, 0); err != nil {
		t.Fatal(err)
	}
	v.Resume()
	if end := v.Wait(); !end.Reset {
		t.Skip("this host's KVM can't emulate stores:", end.Err)
	}
	if err := e.Wait(); err != nil || len(bus.stores) != 0 {
		t.Errorf("%v, stores %#x", err, bus.stores)
	}
}

// TestRestoredGuestGoesOn takes a guest in the middle of its work to another machine.
func TestRestoredGuestGoesOn(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the processors that are paused leave it to others
	// back: cmp dword [0x2000], 0; je back; mov [0xd0000010], ebx
	v, _, _ := start(t, 2, "\x83\x3d\x00\x20\x00\x00\x00"+"\x74\xf7"+"\x89\x1d\x10\x00\x00\xd0"+reset+forever)
	v.Pause()
	s, err := v.Save()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var read State
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if len(read.CPUs) != 2 || read.CPUs[0].Regs != s.CPUs[0].Regs || read.CPUs[0].Sregs.CS != s.CPUs[0].Sregs.CS || len(read.CPUs[0].MSRs) == 0 {
		t.Fatalf("saved %+v", read.CPUs)
	}
	kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer kvm.Close()
	bus := &testBus{}
	other, err := New(kvm, Config{Memory: v.config.Memory, CPUs: 2, Bus: bus, Early: func(byte) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Restore(read); err != nil {
		t.Fatal(err)
	}
	other.Run()
	other.Resume()
	v.config.Memory.Regions()[0].Bytes[0x2000] = 1
	if end := other.Wait(); !end.Reset || len(bus.stores) != 2 || bus.stores[1] != 0x1234 {
		t.Errorf("it ended %+v, stores %#x", end, bus.stores)
	}
	if _, err := other.Save(); err == nil {
		t.Error("a machine that has ended was saved")
	}
}

// BenchmarkFirstEntry is from nothing to a guest's first exit.
func BenchmarkFirstEntry(b *testing.B) {
	kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		b.Skip("this host has no /dev/kvm that this user may open:", err)
	}
	defer kvm.Close()
	for b.Loop() {
		m, err := memory.New(64<<20, false)
		if err != nil {
			b.Fatal(err)
		}
		copy(m.Regions()[0].Bytes[codeStart:], reset)
		v, err := New(kvm, Config{Memory: m, CPUs: 1, Bus: &testBus{}, Early: func(byte) {}})
		if err != nil {
			b.Fatal(err)
		}
		if err := v.Enter(codeStart, 0); err != nil {
			b.Fatal(err)
		}
		v.Run()
		if end := v.Wait(); !end.Reset {
			b.Fatalf("%+v", end)
		}
		v.Close()
		m.Close()
	}
}
