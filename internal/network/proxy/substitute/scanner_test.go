package substitute

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// pieces returns what it has in pieces of random lengths, some of them empty.
type pieces struct {
	random *rand.Rand
	rest   string
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.rest == "" {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.random.IntN(7))], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// text returns up to length letters of a small alphabet, so that much matches.
func text(random *rand.Rand, length int) string {
	b := make([]byte, random.IntN(length+1))
	letters := 1 + random.IntN(3)
	for i := range b {
		b[i] = byte('a' + random.IntN(letters))
	}
	return string(b)
}

func TestReaderIsAsTheModel(t *testing.T) {
	ways := map[string]func(*rand.Rand, string) io.Reader{
		"whole":     func(_ *rand.Rand, s string) io.Reader { return strings.NewReader(s) },
		"bytes":     func(_ *rand.Rand, s string) io.Reader { return iotest.OneByteReader(strings.NewReader(s)) },
		"halves":    func(_ *rand.Rand, s string) io.Reader { return iotest.HalfReader(strings.NewReader(s)) },
		"with data": func(_ *rand.Rand, s string) io.Reader { return iotest.DataErrReader(strings.NewReader(s)) },
		"pieces":    func(r *rand.Rand, s string) io.Reader { return &pieces{r, s} },
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		var pairs []Pair
		for range random.IntN(6) {
			pairs = append(pairs, Pair{text(random, 6), text(random, 4)})
		}
		in := text(random, 60)
		want := model(pairs, in)
		r := New(pairs)
		if got := r.String(in); got != want {
			t.Fatalf("%q: String(%q) = %q, want %q", pairs, in, got, want)
		}
		if r.Found(in) != found(pairs, in) {
			t.Fatalf("%q: Found(%q) = %v", pairs, in, r.Found(in))
		}
		for name, way := range ways {
			got, err := io.ReadAll(r.Reader(way(random, in)))
			if string(got) != want || err != nil {
				t.Fatalf("%q, %s: %q becomes %q, %v; want %q", pairs, name, in, got, err, want)
			}
			got, err = io.ReadAll(iotest.OneByteReader(r.Reader(way(random, in))))
			if string(got) != want || err != nil {
				t.Fatalf("%q, %s, read in bytes: %q becomes %q, %v; want %q", pairs, name, in, got, err, want)
			}
		}
	}
}

// Long texts go through the buffer many times, with matches at its borders.
func TestReaderOfLongTexts(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	long := strings.Repeat("x", 20_000)
	pairs := []Pair{{"needle", "a pin"}, {long + "y", "long"}, {"xxz", "z"}, {"b", strings.Repeat("B", 100)}}
	var b strings.Builder
	for b.Len() < 1<<18 {
		b.WriteString([]string{"needle", "need", long, "y", "z", "b", text(random, 5000)}[random.IntN(7)])
	}
	want := New(pairs).String(b.String())
	if want != strings.NewReplacer(long+"y", "long", "needle", "a pin", "xxz", "z", "b", pairs[3].New).Replace(b.String()) {
		t.Fatal("String differs from the standard library's")
	}
	for name, src := range map[string]io.Reader{
		"whole":  strings.NewReader(b.String()),
		"bytes":  iotest.OneByteReader(strings.NewReader(b.String())),
		"pieces": &pieces{random, b.String()},
	} {
		if err := iotest.TestReader(New(pairs).Reader(src), []byte(want)); err != nil {
			t.Errorf("%s: %.200v", name, err)
		}
	}
}

func TestReaderKeepsErrors(t *testing.T) {
	failure := errors.New("failure")
	for _, test := range []struct{ in, want string }{
		{"", ""}, {"secret", "S"}, {"no secr", "no secr"}, {"secret secre", "S secre"},
	} {
		for name, src := range map[string]io.Reader{
			"after":     io.MultiReader(strings.NewReader(test.in), iotest.ErrReader(failure)),
			"with data": iotest.DataErrReader(io.MultiReader(strings.NewReader(test.in), iotest.ErrReader(failure))),
		} {
			r := New([]Pair{{"secret", "S"}}).Reader(src)
			got, err := io.ReadAll(r)
			if string(got) != test.want || !errors.Is(err, failure) {
				t.Errorf("%s: %q becomes %q, %v; want %q, %v", name, test.in, got, err, test.want, failure)
			}
			if n, err := r.Read(make([]byte, 8)); n != 0 || !errors.Is(err, failure) {
				t.Errorf("%s: then it reads %d, %v", name, n, err)
			}
		}
	}
	idle := readerFunc(func([]byte) (int, error) { return 0, nil })
	if _, err := New([]Pair{{"a", "b"}}).Reader(idle).Read(make([]byte, 8)); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a source that never returns anything: %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// Events must not wait for the next one: what can't become a match is there at once.
func TestReaderHoldsBackOnlyWhatMayMatch(t *testing.T) {
	for _, test := range []struct{ write, want string }{
		{"data: 1\n\n", "data: 1\n\n"},
		{"a secret.", "a S."},
		{"see", "see"},
		{"a sec", "a "},       // may go on
		{"a secret", "a "},    // the longer one may follow
		{"secrets of", "O"},   // nothing longer can
		{"a secretse", "a S"}, // the longer one does not, but another may
		{"line two\n\n", "line "},
	} {
		// The source blocks after the first write, as a server does between events.
		src := &once{data: test.write}
		r := New([]Pair{{"secret", "S"}, {"secrets of", "O"}, {"two\n\nlines", "L"}}).Reader(src)
		b := make([]byte, 100)
		n, err := r.Read(b)
		if got := string(b[:n]); got != test.want || err != nil || src.reads != 1 {
			t.Errorf("after %q: %q, %v, %d reads; want %q", test.write, got, err, src.reads, test.want)
		}
	}
}

// once returns its data at the first read. It counts reads: a second one would block.
type once struct {
	data  string
	reads int
}

func (o *once) Read(b []byte) (int, error) {
	o.reads++
	if o.reads > 1 {
		return 0, errors.New("a read that would block")
	}
	return copy(b, o.data), nil
}

func TestReaderPassesEventsOn(t *testing.T) {
	in, out := io.Pipe()
	defer in.Close()
	r := New([]Pair{{"secret", "S"}}).Reader(in)
	got := make(chan string)
	go func() {
		defer close(got)
		b := make([]byte, 100)
		for {
			n, err := r.Read(b)
			if n > 0 {
				got <- string(b[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	for _, event := range []string{"data: 1\n\n", "data: the secret\n\n", "data: 3\n\n"} {
		if _, err := io.WriteString(out, event); err != nil {
			t.Fatal(err)
		}
		if text, want := <-got, strings.Replace(event, "secret", "S", 1); text != want {
			t.Errorf("%q came through as %q", event, text)
		}
	}
	out.Close()
	if text, open := <-got; open {
		t.Errorf("then came %q", text)
	}
}

// The number of steps, unlike time, is the same on all machines.
func TestHostileInputTakesLinearWork(t *testing.T) {
	const most = 8 // steps for each byte
	a := strings.Repeat("a", 1000)
	for name, test := range map[string]struct {
		pairs []Pair
		unit  string
	}{
		"almost a match":              {[]Pair{{a + "b", "x"}}, "a"},
		"a short match in a long one": {[]Pair{{"a", "y"}, {a + "b", "x"}}, "a"},
		"matches at each place":       {[]Pair{{"aa", "y"}, {a + "b", "x"}, {"a" + a + "c", "z"}}, "a"},
		"alternation":                 {[]Pair{{strings.Repeat("ab", 500) + "c", "x"}, {"ba", "y"}}, "ab"},
		"a long match cut off":        {[]Pair{{a + "b", "x"}, {"ab", "y"}}, a[1:] + "c"},
		"all matches":                 {[]Pair{{"a", ""}}, "a"},
		"first bytes":                 {[]Pair{{"ab", "x"}, {"cd", "y"}}, "ac"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1 << 15, 1 << 18} {
				in := strings.Repeat(test.unit, size/len(test.unit))
				for way, src := range map[string]io.Reader{
					"whole": strings.NewReader(in), "bytes": iotest.OneByteReader(strings.NewReader(in)),
				} {
					s := newScanner(New(test.pairs), src)
					if _, err := io.Copy(io.Discard, s); err != nil {
						t.Fatal(err)
					}
					if s.steps > most*len(in) {
						t.Errorf("%s, %d bytes: %d steps, more than %d a byte", way, len(in), s.steps, most)
					}
				}
			}
		})
	}
}

func TestReaderHasBoundedMemory(t *testing.T) {
	longest := strings.Repeat("a", 64<<10)
	for _, pairs := range [][]Pair{
		{{"a", strings.Repeat("x", 10_000)}},
		{{longest, "x"}, {"aa", "y"}},
	} {
		t.Run(fmt.Sprint(len(pairs)), func(t *testing.T) {
			s := newScanner(New(pairs), io.LimitReader(endless('a'), 1<<17))
			size := len(s.in)
			if size > 4*len(longest) {
				t.Errorf("the buffer has %d bytes", size)
			}
			if _, err := io.Copy(io.Discard, s); err != nil {
				t.Fatal(err)
			}
			if len(s.in) != size || len(s.found) > size {
				t.Errorf("buffers grew from %d to %d and %d", size, len(s.in), len(s.found))
			}
		})
	}
}

type endless byte

func (e endless) Read(b []byte) (int, error) {
	return copy(b, bytes.Repeat([]byte{byte(e)}, len(b))), nil
}
