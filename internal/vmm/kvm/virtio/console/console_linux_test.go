package console_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/console"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/virtiotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const output = 1

var quiet = slog.New(slog.DiscardHandler)

// text is an output that keeps what is written to it.
type text struct {
	mu     sync.Mutex
	all    []byte
	writes int
	gate   chan struct{} // each Write takes one from it, if there is a gate
	err    error
}

func (o *text) Write(p []byte) (int, error) {
	if o.gate != nil {
		<-o.gate
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writes++
	if o.err != nil {
		return 0, o.err
	}
	o.all = append(o.all, p...)
	return len(p), nil
}

func (o *text) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.all)
}

func TestTextArrivesInOrder(t *testing.T) {
	for name, without := range map[string]uint64{"all features": 0, "none": virtio.FeatureEventIndex | virtio.FeatureIndirect} {
		t.Run(name, func(t *testing.T) {
			var out text
			d := console.New(&out, quiet)
			x := virtiotest.Start(t, d, 16, without)
			var want strings.Builder
			for i := range 5000 {
				line := fmt.Sprintf("line %d\r\n", i)
				want.WriteString(line)
				x.Add(output, virtiotest.Piece{Content: []byte(line[:3])}, virtiotest.Piece{Content: []byte(line[3:])})
				x.Kick(output)
				if u := x.Next(output); u.Written != 0 {
					t.Fatalf("%+v", u)
				}
			}
			d.Flush()
			if out.String() != want.String() {
				t.Error("the text is another")
			}
		})
	}
}

func TestInputIsLeftAlone(t *testing.T) {
	x := virtiotest.Start(t, console.New(&text{}, quiet), 16, 0)
	x.Add(0, virtiotest.Piece{Space: 100})
	x.Kick(0)
	x.Add(output, virtiotest.Piece{Content: []byte("a")})
	x.Kick(output)
	x.Next(output)
	if u, ok := x.Poll(0); ok {
		t.Errorf("%+v", u)
	}
	if c := x.Config(0, 16); !bytes.Equal(c, make([]byte, 16)) {
		t.Errorf("configuration %x", c)
	}
}

// TestTextIsWrittenAtOnce has an output that waits: what comes meanwhile is one Write.
func TestTextIsWrittenAtOnce(t *testing.T) {
	out := text{gate: make(chan struct{})}
	d := console.New(&out, quiet)
	x := virtiotest.Start(t, d, 16, 0)
	say := func(s string) {
		x.Add(output, virtiotest.Piece{Content: []byte(s)})
		x.Kick(output)
		x.Next(output)
	}
	say("a") // is being written from now on, or will be with what follows
	out.gate <- struct{}{}
	d.Flush()
	say("b")
	for range 100 {
		say("c")
	}
	close(out.gate)
	d.Flush()
	if got := out.String(); got != "ab"+strings.Repeat("c", 100) || out.writes > 3 {
		t.Errorf("%q in %d writes", got, out.writes)
	}
}

// TestSlowOutput has an output that never ends a Write: the guest waits at some time, but
// the device can be stopped and reset, and nothing is lost.
func TestSlowOutput(t *testing.T) {
	out := text{gate: make(chan struct{})}
	d := console.New(&out, quiet)
	x := virtiotest.Start(t, d, 4, 0)
	chunk := strings.Repeat("x", 64<<10)
	said := 0
	for range 4 {
		x.Add(output, virtiotest.Piece{Content: []byte(chunk)})
		said++
	}
	x.Kick(output)
	for range 4 {
		x.Next(output)
	}
	for range 4 { // the queue is full of what can't be taken, or only a part of it
		x.Add(output, virtiotest.Piece{Content: []byte(chunk)})
		said++
	}
	x.Kick(output)
	x.Transport.Pause()
	x.Transport.Resume()
	x.Transport.Pause()
	close(out.gate)
	x.Transport.Resume()
	for range 4 {
		x.Next(output)
	}
	d.Flush()
	if got := len(out.String()); got != said*len(chunk) {
		t.Errorf("%d bytes of %d", got, said*len(chunk))
	}

	x.Set(0x70, 0) // a reset
}

func TestFailedOutputIsDropped(t *testing.T) {
	var logged bytes.Buffer
	out := text{err: errors.New("disk full")}
	d := console.New(&out, slog.New(slog.NewTextHandler(&logged, nil)))
	x := virtiotest.Start(t, d, 16, 0)
	for range 10 {
		for range 16 {
			x.Add(output, virtiotest.Piece{Content: bytes.Repeat([]byte("y"), 64<<10)})
		}
		x.Kick(output)
		for range 16 {
			x.Next(output)
		}
		d.Flush()
	}
	if n := strings.Count(logged.String(), "disk full"); n != 1 || out.writes != 1 {
		t.Errorf("it was logged %d times after %d writes", n, out.writes)
	}
}

func TestHugeBuffersAreCut(t *testing.T) {
	var out text
	d := console.New(&out, quiet)
	x := virtiotest.Start(t, d, 16, 0)
	for i := range uint16(8) {
		next := uint16(1)
		if i == 7 {
			next = 0
		}
		x.Describe(output, i, 0x400000, 8<<20, next, i+1)
	}
	x.MakeAvailable(output, 0)
	x.Kick(output)
	x.Next(output)
	d.Flush()
	if n := len(out.String()); n != 1<<20 {
		t.Errorf("%d bytes were written", n)
	}
}

func TestSavedConsolesGoOn(t *testing.T) {
	var out text
	d := console.New(&out, quiet)
	x := virtiotest.Start(t, d, 16, 0)
	x.Add(output, virtiotest.Piece{Content: []byte("a")})
	x.Kick(output)
	x.Next(output)
	x.Transport.Pause()
	d.Flush()
	x.Add(output, virtiotest.Piece{Content: []byte("b")})
	s, err := x.Transport.Save()
	if err != nil {
		t.Fatal(err)
	}
	next := console.New(&out, quiet)
	x.Restart(next, s)
	x.Next(output)
	next.Flush()
	if out.String() != "ab" {
		t.Errorf("%q", out.String())
	}
}

// FuzzOutput describes buffers of the guest with arbitrary descriptors.
func FuzzOutput(f *testing.F) {
	f.Add([]byte{0, 0, 0, 16, 0, 0})
	f.Add([]byte{0, 1, 0, 1, 1, 1, 2, 3, 4, 5, 6, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 4, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		d := console.New(&text{}, quiet)
		x := virtiotest.Start(t, d, 8, 0)
		for i := uint16(0); len(b) >= 6; i, b = i+1, b[6:] {
			address := 0x400000 + uint64(b[0])<<12 + uint64(b[1])
			x.Describe(output, i%8, address, uint32(b[2])<<8|uint32(b[3]), uint16(b[4]), uint16(b[5]))
			x.MakeAvailable(output, uint16(b[5])%16)
			x.Kick(output)
		}
		x.Transport.Pause()
		x.Set(0x70, 0)
		d.Flush()
	})
}
