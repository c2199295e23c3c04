package substitute

import "io"

// bufferSize is how much a scanner reads at once. Longer Olds need more.
const bufferSize = 32 << 10

// scanner is the reader that replaces. Its buffer is in four parts:
//
//	start ≤ decided ≤ pos ≤ end
//
// What is before start has been passed on. No match that begins before decided can still be
// found. What is between decided and pos is the string of node, which may become a match.
// What follows up to end has not been looked at.
type scanner struct {
	replacer *Replacer
	src      io.Reader
	err      error // of src, after end

	in                       []byte
	start, decided, pos, end int
	node                     int32

	// found has, for each place in the buffer from start on, 1 + index of the longest pair
	// found there yet, or 0; it is made with the first match. waiting counts what isn't 0.
	found   []int32
	waiting int

	out   []byte // to be returned: a part of in, or what is put in
	steps int    // of the automaton, and places looked at again: for tests
}

func newScanner(r *Replacer, src io.Reader) *scanner {
	// The held part is less than a quarter, see fill.
	return &scanner{replacer: r, src: src, in: make([]byte, max(bufferSize, 4*r.trie.longest))}
}

// reset lets the scanner begin anew with another source, once it has returned an error.
func (s *scanner) reset(src io.Reader) {
	if s.waiting > 0 {
		clear(s.found)
	}
	*s = scanner{replacer: s.replacer, src: src, in: s.in, found: s.found}
}

// Read implements [io.Reader]. It returns an error together with the last bytes if it knows it.
func (s *scanner) Read(b []byte) (n int, err error) {
	for n < len(b) {
		if len(s.out) == 0 && !s.next() {
			if s.err != nil || n > 0 {
				break
			}
			s.fill()
			continue
		}
		copied := copy(b[n:], s.out)
		s.out = s.out[copied:]
		n += copied
	}
	if s.err != nil && len(s.out) == 0 && !s.next() {
		return n, s.err
	}
	return n, nil
}

// next sets out to what comes next, which may be empty. It returns false if that depends on
// more input.
func (s *scanner) next() bool {
	if s.start == s.decided {
		s.scan()
	}
	if s.start == s.decided && s.err != nil {
		s.node, s.decided = root, s.end // nothing follows, so nothing can grow
	}
	if s.start == s.decided {
		return false
	}
	if s.waiting == 0 {
		s.out, s.start = s.in[s.start:s.decided], s.decided
		return true
	}
	place := s.start
	for place < s.decided && s.found[place] == 0 {
		place++
	}
	s.steps += place - s.start
	if place > s.start {
		s.out, s.start = s.in[s.start:place], place
		return true
	}
	s.replace()
	return true
}

// replace takes the match at start, and forgets those that it overlaps.
func (s *scanner) replace() {
	p := s.replacer.pairs[s.found[s.start]-1]
	matched := s.found[s.start : s.start+p.length]
	for i, pair := range matched {
		if pair != 0 {
			matched[i] = 0
			s.waiting--
		}
	}
	s.steps += p.length
	s.out = p.text
	s.start += p.length
	// From here on it is as if the text began at start. Shortening the node has the effect of
	// reading again from there, without doing it.
	s.settle(s.pos - s.start)
}

// scan goes on until a match is decided, or to the end.
func (s *scanner) scan() {
	t := s.replacer.trie
	for s.pos < s.end {
		if s.node == root {
			s.pos += t.skip(s.in[s.pos:s.end])
			if s.pos == s.end {
				break
			}
		}
		before := t.nodes[s.node].depth
		s.node = t.step(s.node, s.in[s.pos])
		s.pos++
		n := &t.nodes[s.node]
		s.steps += int(before-n.depth) + 2 // at least as many as step took
		if n.isMatch() {
			s.note()
		}
		if n.child == root || s.waiting > 0 {
			s.settle(s.pos - s.start)
			if s.waiting > 0 && s.decided > s.start {
				return
			}
		}
	}
	s.settle(s.pos - s.start)
}

// note notes all matches that end at pos. One that was found before at the same place is
// shorter.
func (s *scanner) note() {
	if s.found == nil {
		s.found = make([]int32, len(s.in))
	}
	nodes := s.replacer.trie.nodes
	n := s.node
	if nodes[n].pair == 0 {
		n = nodes[n].shorter
	}
	for ; n != root; n = nodes[n].shorter {
		place := &s.found[s.pos-int(nodes[n].depth)]
		if *place == 0 {
			s.waiting++
		}
		*place = nodes[n].pair
		s.steps++
	}
}

// settle shortens the node to what can still become a match within the last bytes.
func (s *scanner) settle(last int) {
	t := s.replacer.trie
	before := t.nodes[s.node].depth
	s.node = t.pending(s.node, last)
	s.steps += int(before - t.nodes[s.node].depth)
	s.decided = s.pos - int(t.nodes[s.node].depth)
}

// fill reads once from the source, after everything that is decided was passed on.
func (s *scanner) fill() {
	held := s.end - s.start
	switch {
	case held == 0:
		s.start, s.decided, s.pos, s.end = 0, 0, 0, 0
	case len(s.in)-s.end < len(s.in)/4:
		// Less than a quarter is moved, and a half at least is read before the next time.
		copy(s.in, s.in[s.start:s.end])
		if s.waiting > 0 {
			copy(s.found, s.found[s.start:s.end])
			clear(s.found[held:s.end])
		}
		s.start, s.decided, s.pos, s.end = 0, 0, held, held
	}
	for range 100 {
		n, err := s.src.Read(s.in[s.end:])
		s.end += n
		s.err = err
		if n > 0 || err != nil {
			return
		}
	}
	s.err = io.ErrNoProgress
}
