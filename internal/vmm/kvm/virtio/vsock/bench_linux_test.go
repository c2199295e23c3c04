package vsock

import (
	"io"
	"net"
	"testing"
)

func benchmarkStream(b *testing.B) (*guest, *sock, *net.UnixConn) {
	g, _, dl := start(b)
	s, c := connect(b, g, dl, 100)
	b.ReportAllocs()
	b.ResetTimer()
	return g, s, c
}

// BenchmarkRoundTrip is a byte to the guest and back.
func BenchmarkRoundTrip(b *testing.B) {
	_, s, c := benchmarkStream(b)
	go func() {
		var p [1]byte
		for {
			if _, err := s.Read(p[:]); err != nil {
				return
			}
			_, _ = s.Write(p[:])
		}
	}()
	var p [1]byte
	for range b.N {
		_, _ = c.Write(p[:])
		if _, err := io.ReadFull(c, p[:]); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	_ = c.Close()
}

const benchmarkSize = 256 << 20

// BenchmarkToGuest is 256 MiB. The guest takes them as fast as it can.
func BenchmarkToGuest(b *testing.B) {
	g, s, c := benchmarkStream(b)
	b.SetBytes(benchmarkSize)
	g.mu.Lock()
	s.isSink = true
	g.mu.Unlock()
	p := make([]byte, 1<<20)
	for i := range b.N {
		for range benchmarkSize / len(p) {
			if _, err := c.Write(p); err != nil {
				b.Fatal(err)
			}
		}
		want := uint32((i + 1) * benchmarkSize)
		g.wait(func() bool { return s.received == want })
	}
}

// BenchmarkToHost is 256 MiB.
func BenchmarkToHost(b *testing.B) {
	_, s, c := benchmarkStream(b)
	b.SetBytes(benchmarkSize)
	p, q := make([]byte, 1<<20), make([]byte, 1<<20)
	for range b.N {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for left := benchmarkSize; left > 0; {
				n, err := c.Read(q)
				if err != nil {
					return
				}
				left -= n
			}
		}()
		for range benchmarkSize / len(p) {
			if _, err := s.Write(p); err != nil {
				b.Fatal(err)
			}
		}
		<-done
	}
}
