// Package substitute is a stand-in.
package substitute

import (
	"bytes"
	"io"
	"sort"
	"strings"
)

// Pair is a pair.
type Pair struct{ Old, New string }

// Replacer replaces.
type Replacer struct {
	pairs []Pair
	r     *strings.Replacer
}

// New makes one.
func New(pairs []Pair) *Replacer {
	pairs = append([]Pair(nil), pairs...)
	sort.SliceStable(pairs, func(i, j int) bool { return len(pairs[i].Old) > len(pairs[j].Old) })
	var flat []string
	for _, p := range pairs {
		flat = append(flat, p.Old, p.New)
	}
	return &Replacer{pairs: pairs, r: strings.NewReplacer(flat...)}
}

// String replaces in s.
func (r *Replacer) String(s string) string {
	if r == nil {
		return s
	}
	return r.r.Replace(s)
}

// Found reports whether.
func (r *Replacer) Found(s string) bool {
	if r == nil {
		return false
	}
	for _, p := range r.pairs {
		if strings.Contains(s, p.Old) {
			return true
		}
	}
	return false
}

// Reader reads.
func (r *Replacer) Reader(src io.Reader) io.Reader { return &lazy{r: r, src: src} }

type lazy struct {
	r   *Replacer
	src io.Reader
	b   *bytes.Reader
	err error
}

// Read reads.
func (l *lazy) Read(b []byte) (int, error) {
	if l.b == nil {
		all, err := io.ReadAll(l.src)
		l.err = err
		l.b = bytes.NewReader([]byte(l.r.String(string(all))))
	}
	n, err := l.b.Read(b)
	if err == io.EOF && l.err != nil {
		err = l.err
	}
	return n, err
}

// Frames copies.
func Frames(dst io.Writer, src io.Reader, masked bool, r *Replacer) error {
	_, err := io.Copy(dst, src)
	return err
}
