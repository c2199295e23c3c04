package network

import (
	"bytes"
	"testing"

	"github.com/boxlite-go/boxlite/internal/network/link"
)

// cut cuts bytes into pieces whose sizes repeat, none of them empty.
func cut(b []byte, sizes ...int) (pieces [][]byte) {
	for i := 0; len(b) > 0; i++ {
		n := min(len(b), sizes[i%len(sizes)])
		pieces = append(pieces, b[:n:n])
		b = b[n:]
	}
	return pieces
}

func FuzzStrip(f *testing.F) {
	f.Add(make([]byte, 26), uint8(11), uint8(0))
	f.Add(make([]byte, 25), uint8(200), uint8(1))
	f.Add(make([]byte, 1526), uint8(11), uint8(255))
	f.Add(make([]byte, headerSize+link.MaxFrame+1), uint8(255), uint8(255))
	f.Fuzz(func(t *testing.T, b []byte, one, two uint8) {
		got := strip(cut(b, int(one)+1, int(two)+1))
		size := len(b) - headerSize
		if size < minFrame || size > link.MaxFrame {
			if got != nil {
				t.Fatalf("a frame of %d bytes", size)
			}
			return
		}
		if !bytes.Equal(bytes.Join(got, nil), b[headerSize:]) {
			t.Fatal("the frame is another")
		}
		for _, p := range got {
			if len(p) == 0 {
				t.Fatal("an empty piece")
			}
		}
	})
}

func FuzzScatter(f *testing.F) {
	f.Add([]byte("abcdef"), uint8(1), uint8(2), uint16(3))
	f.Fuzz(func(t *testing.T, b []byte, one, two uint8, more uint16) {
		all := make([]byte, len(b)+int(more))
		at := len(b) / 3
		rest := scatter(scatter(cut(all, int(one)+1, int(two)+1), b[:at]), b[at:])
		if left := len(bytes.Join(rest, nil)); left != int(more) || !bytes.Equal(all[:len(b)], b) {
			t.Fatalf("%d bytes are left of %d", left, more)
		}
	})
}
