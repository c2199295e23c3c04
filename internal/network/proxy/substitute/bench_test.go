package substitute

import (
	"bytes"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// BenchmarkReader reads 16 MiB without matches: random bytes in base64, in which many begin.
func BenchmarkReader(b *testing.B) {
	random := make([]byte, 12<<20)
	rand.NewChaCha8([32]byte{}).Read(random)
	in := []byte(base64.StdEncoding.EncodeToString(random))
	var several []Pair
	for _, secret := range []string{"sk-0123456789abcdef", "ghp_0123456789", "AKIA0123456789"} {
		for _, form := range Encodings(secret) {
			several = append(several, Pair{form, "placeholder"})
		}
	}
	for name, pairs := range map[string][]Pair{
		"one pair":      {{"<placeholder>", "secret"}},
		"several pairs": several,
	} {
		b.Run(name, func(b *testing.B) {
			r := New(pairs)
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				if _, err := io.Copy(io.Discard, r.Reader(bytes.NewReader(in))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFrames(b *testing.B) {
	in := encode(true, frame{opBinary, true, strings.Repeat("no match ", 1<<20)})
	r := New([]Pair{{"placeholder", "secret"}})
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if err := Frames(io.Discard, bytes.NewReader(in), true, r); err != nil {
			b.Fatal(err)
		}
	}
}
