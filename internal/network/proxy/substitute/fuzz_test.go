package substitute

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

func FuzzReplacer(f *testing.F) {
	f.Add("secret", "S", "secrets", "", "et", "x", "a secret, secrets, secre", uint64(1))
	f.Add("aab", "1", "ba", "2", "a", "3", "aabababaaab", uint64(2))
	f.Fuzz(func(t *testing.T, old1, new1, old2, new2, old3, new3, in string, seed uint64) {
		pairs := []Pair{{old1, new1}, {old2, new2}, {old3, new3}}
		want := model(pairs, in)
		r := New(pairs)
		if got := r.String(in); got != want {
			t.Fatalf("String(%q) = %q, want %q", in, got, want)
		}
		if got := r.Found(in); got != found(pairs, in) {
			t.Fatalf("Found(%q) = %v", in, got)
		}
		random := rand.New(rand.NewPCG(seed, 0))
		got, err := io.ReadAll(iotest.HalfReader(r.Reader(&pieces{random, in})))
		if string(got) != want || err != nil {
			t.Fatalf("a stream of %q becomes %q, %v; want %q", in, got, err, want)
		}
	})
}

func FuzzFrames(f *testing.F) {
	f.Add(encode(false, frame{opText, false, "a sec"}, frame{opPong, true, "x"}, frame{opContinuation, true, "ret"}), false)
	f.Add(encode(true, frame{opBinary, true, "secret"}, frame{opClose, true, "\x03\xe8secret"}), true)
	f.Add([]byte("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), false)
	f.Fuzz(func(t *testing.T, in []byte, masked bool) {
		var plain, replaced bytes.Buffer
		err := Frames(&plain, bytes.NewReader(in), masked, nil)
		if other := Frames(&replaced, bytes.NewReader(in), masked, New([]Pair{{"secret", "S"}})); (err == nil) != (other == nil) {
			t.Fatalf("without replacer %v, with one %v", err, other)
		}
		if replaced.Len() > 16*len(in)+maxHeader {
			t.Fatalf("%d bytes became %d", len(in), replaced.Len())
		}
		decode(t, replaced.Bytes(), masked)
		got := messages(t, decode(t, plain.Bytes(), masked))
		if err != nil {
			return
		}
		want := messages(t, decode(t, in, masked))
		if len(got) != len(want) {
			t.Fatalf("%v became %v", want, got)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%v became %v", want[i], got[i])
			}
		}
	})
}
