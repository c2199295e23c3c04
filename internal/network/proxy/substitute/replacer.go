package substitute

import (
	"io"
	"strings"
)

// Pair is a string to look for, and what is put in its place.
type Pair struct{ Old, New string }

// Replacer replaces every Old of its pairs by its New. It doesn't change, and a nil one
// replaces nothing.
type Replacer struct {
	trie  *trie
	pairs []pair
}

// pair is a Pair as a scanner needs it.
type pair struct {
	length int // of Old
	text   []byte
}

// New returns a replacer for pairs. One whose Old is empty is ignored, and so is one whose
// Old was there before. There may be no pairs. The memory that it takes is some 32 bytes for
// each byte of all Olds.
func New(pairs []Pair) *Replacer {
	r := &Replacer{trie: newTrie()}
	for _, p := range pairs {
		if p.Old != "" && r.trie.add(p.Old, int32(len(r.pairs)+1)) {
			r.pairs = append(r.pairs, pair{len(p.Old), []byte(p.New)})
		}
	}
	r.trie.link()
	return r
}

func (r *Replacer) isEmpty() bool { return r == nil || len(r.pairs) == 0 }

// String returns s with all matches replaced.
func (r *Replacer) String(s string) string {
	if !r.Found(s) {
		return s
	}
	scan := scanner{replacer: r, in: []byte(s), end: len(s), err: io.EOF}
	var b strings.Builder
	b.Grow(len(s))
	for scan.next() {
		b.Write(scan.out)
		scan.out = nil
	}
	return b.String()
}

// Found reports whether String would replace something in s.
func (r *Replacer) Found(s string) bool {
	if r.isEmpty() {
		return false
	}
	n := root
	for i := range len(s) {
		n = r.trie.step(n, s[i])
		if r.trie.nodes[n].isMatch() {
			return true
		}
	}
	return false
}

// Reader returns a reader of src with all matches replaced, also those that src returns in
// pieces. A Read waits for src at most until it has something to return. What src returned
// before an error, or before [io.EOF], is returned before it, and it is the last thing that
// is asked of src.
func (r *Replacer) Reader(src io.Reader) io.Reader {
	if r.isEmpty() {
		return src
	}
	return newScanner(r, src)
}
