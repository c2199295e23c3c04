package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func frame(size int, fill byte) []byte { return bytes.Repeat([]byte{fill}, size) }

// pairs are the kinds of endpoints, each with its other end.
var pairs = map[string]func() (Endpoint, Endpoint){
	"pipe": Pipe,
	"stream": func() (Endpoint, Endpoint) {
		a, b := net.Pipe()
		return NewStream(a), NewStream(b)
	},
}

func TestFramesArriveInOrderAndWhole(t *testing.T) {
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			a, b := pair()
			sizes := []int{minFrame, 60, 1514, MaxFrame, 15, MaxFrame, MaxFrame}
			var wg sync.WaitGroup
			wg.Go(func() {
				defer a.Close()
				for round := range 20 {
					var frames []Frame
					for i, size := range sizes {
						whole := frame(size, byte(round+i))
						frames = append(frames, Frame{whole[:size/2], nil, whole[size/2:]})
					}
					if err := a.Send(frames); err != nil {
						t.Error(err)
					}
				}
			})
			got := 0
			var err error
			for err == nil {
				err = b.Receive(func(b []byte) {
					if want := frame(sizes[got%len(sizes)], byte(got/len(sizes)+got%len(sizes))); !bytes.Equal(b, want) {
						t.Errorf("frame %d has %d bytes, or others than were sent", got, len(b))
					}
					got++
				})
			}
			if !errors.Is(err, io.EOF) || got != 20*len(sizes) {
				t.Errorf("%d frames, then %v", got, err)
			}
			wg.Wait()
			b.Close()
		})
	}
}

func TestFramesOfImpossibleSizesAreNotSent(t *testing.T) {
	for name, pair := range pairs {
		a, b := pair()
		for _, size := range []int{0, minFrame - 1, MaxFrame + 1} {
			if err := a.Send([]Frame{{frame(size, 0)}}); err == nil {
				t.Errorf("%s sent %d bytes", name, size)
			}
		}
		a.Close()
		b.Close()
	}
}

func TestCloseEndsReceiveAndSend(t *testing.T) {
	for _, pair := range pairs {
		a, b := pair()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := a.Receive(func([]byte) {}); err == nil {
				t.Error("received")
			}
		})
		wg.Go(func() { // until nothing fits any more
			for a.Send([]Frame{{frame(MaxFrame, 0)}}) == nil {
			}
		})
		a.Close()
		wg.Wait()
		b.Close()
	}
}

func TestHostileLengthsEndTheStream(t *testing.T) {
	for _, bad := range []uint32{0, 1, minFrame - 1, MaxFrame + 1, 1 << 31, 0xffffffff} {
		a, b := net.Pipe()
		go func() {
			b.Write(binary.BigEndian.AppendUint32(nil, bad))
			b.Close()
		}()
		s := NewStream(a)
		if err := s.Receive(func([]byte) { t.Error("delivered") }); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("length %d: %v", bad, err)
		}
		s.Close()
	}
}

// script is a connection that is read in pieces.
type script struct {
	net.Conn
	rest []byte
	step int
}

func (s *script) Read(b []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), s.step)], s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func FuzzStream(f *testing.F) {
	good := append(binary.BigEndian.AppendUint32(nil, 20), frame(20, 1)...)
	f.Add(good, uint16(3))
	f.Add(append(good, good...), uint16(1000))
	f.Add(append(good, 0, 0, 0, 1), uint16(1))
	f.Fuzz(func(t *testing.T, b []byte, step uint16) {
		s := NewStream(&script{rest: b, step: int(step) + 1})
		var again []byte
		var err error
		for err == nil {
			err = s.Receive(func(frame []byte) {
				if len(frame) < minFrame || len(frame) > MaxFrame {
					t.Fatalf("frame of %d bytes", len(frame))
				}
				again = append(binary.BigEndian.AppendUint32(again, uint32(len(frame))), frame...)
			})
		}
		if !bytes.HasPrefix(b, again) {
			t.Fatal("the frames are not what was sent")
		}
		if errors.Is(err, io.EOF) && len(again) != len(b) {
			t.Fatalf("the stream ended well with %d of %d bytes", len(again), len(b))
		}
	})
}

// socketPair returns the ends of a Unix socket, as QEMU has one.
func socketPair(b *testing.B) (Endpoint, Endpoint) {
	b.Helper()
	listener, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	near, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		b.Fatal(err)
	}
	return NewStream(near), NewStream(far)
}

func BenchmarkPipe(b *testing.B) {
	one, two := Pipe()
	benchmark(b, one, two)
}

func BenchmarkStream(b *testing.B) {
	one, two := socketPair(b)
	benchmark(b, one, two)
}

func benchmark(b *testing.B, one, two Endpoint) {
	frames := make([]Frame, 16)
	for i := range frames {
		frames[i] = Frame{frame(MaxFrame, 0)}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for two.Receive(func([]byte) {}) == nil {
		}
	})
	b.SetBytes(16 * MaxFrame)
	for b.Loop() {
		if err := one.Send(frames); err != nil {
			b.Fatal(err)
		}
	}
	one.Close()
	wg.Wait()
	two.Close()
}
