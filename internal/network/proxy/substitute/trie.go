package substitute

import "bytes"

// trie is an Aho-Corasick automaton. A node stands for a string that is the beginning of an
// Old; while text is read, the node is the longest such string that the text ends with.
//
// Children are in lists rather than tables of 256, as Olds may be long. A list is no longer
// than there are pairs.
type trie struct {
	nodes []node
	first [256]int32 // the children of the root
	one   int        // the only byte that a match begins with, or -1
	// two has a bit for each two bytes that a match begins with, or that begin with a match of
	// one byte. One byte alone would stop skip too often.
	two [1 << 16 / 64]uint64
	// longest is the length of the longest Old.
	longest int
}

type node struct {
	child, sibling int32 // none is root
	fail           int32 // of the longest proper suffix that is a node
	shorter        int32 // the longest proper suffix that is an Old, or root
	depth          int32
	pair           int32 // 1 + index of the pair whose Old this is, or 0
	char           byte
}

// isMatch reports whether an Old ends with the node.
func (n *node) isMatch() bool { return n.pair != 0 || n.shorter != root }

const root = int32(0)

func newTrie() *trie { return &trie{nodes: make([]node, 1)} }

// add adds an Old, unless it is there.
func (t *trie) add(old string, pair int32) bool {
	n := root
	for i := range len(old) {
		next := t.child(n, old[i])
		if next == root {
			next = int32(len(t.nodes))
			t.nodes = append(t.nodes, node{char: old[i], depth: int32(i + 1), sibling: t.nodes[n].child})
			t.nodes[n].child = next
			if n == root {
				t.first[old[i]] = next
			}
		}
		n = next
	}
	if t.nodes[n].pair != 0 {
		return false
	}
	t.nodes[n].pair = pair
	t.longest = max(t.longest, len(old))
	return true
}

// link sets what depends on all Olds, from the shortest strings to the longest.
func (t *trie) link() {
	t.one = -1
	if only := t.nodes[root].child; only != root && t.nodes[only].sibling == root {
		t.one = int(t.nodes[only].char)
	}
	t.setTwo()
	queue := []int32{root}
	for len(queue) > 0 {
		parent := queue[0]
		queue = queue[1:]
		for c := t.nodes[parent].child; c != root; c = t.nodes[c].sibling {
			n := &t.nodes[c]
			if parent != root {
				n.fail = t.step(t.nodes[parent].fail, n.char)
			}
			n.shorter = t.nodes[n.fail].shorter
			if t.nodes[n.fail].pair != 0 {
				n.shorter = n.fail
			}
			queue = append(queue, c)
		}
	}
}

func (t *trie) child(n int32, c byte) int32 {
	if n == root {
		return t.first[c]
	}
	child := t.nodes[n].child
	for child != root && t.nodes[child].char != c {
		child = t.nodes[child].sibling
	}
	return child
}

// step returns the node after c. On the whole it takes at most two turns for each byte: each
// turn but the last makes the node shorter, and a byte makes it longer by one.
func (t *trie) step(n int32, c byte) int32 {
	for {
		if next := t.child(n, c); next != root || n == root {
			return next
		}
		n = t.nodes[n].fail
	}
}

// pending returns the longest suffix of a node that is at most limit bytes long and that can
// still grow to an Old.
func (t *trie) pending(n int32, limit int) int32 {
	for n != root && (t.nodes[n].child == root || int(t.nodes[n].depth) > limit) {
		n = t.nodes[n].fail
	}
	return n
}

// setTwo sets the bits of two.
func (t *trie) setTwo() {
	set := func(a, b byte) { t.two[uint16(a)<<2|uint16(b)>>6] |= 1 << (b & 63) }
	for n := t.nodes[root].child; n != root; n = t.nodes[n].sibling {
		if t.nodes[n].pair != 0 {
			for b := range 256 {
				set(t.nodes[n].char, byte(b))
			}
		}
		for c := t.nodes[n].child; c != root; c = t.nodes[c].sibling {
			set(t.nodes[n].char, t.nodes[c].char)
		}
	}
}

// skip returns how many bytes of b can't begin a match, which are most bytes of most streams.
// What follows b is not known.
func (t *trie) skip(b []byte) int {
	if t.one >= 0 {
		return t.skipToOne(b)
	}
	for i, a := range b {
		if t.first[a] != root && (i+1 == len(b) || t.mayBegin(a, b[i+1])) {
			return i
		}
	}
	return len(b)
}

func (t *trie) skipToOne(b []byte) int {
	for at := 0; at < len(b); at++ {
		i := bytes.IndexByte(b[at:], byte(t.one))
		if i < 0 {
			break
		}
		at += i
		if at+1 == len(b) || t.mayBegin(b[at], b[at+1]) {
			return at
		}
	}
	return len(b)
}

func (t *trie) mayBegin(a, b byte) bool {
	return t.two[uint16(a)<<2|uint16(b)>>6]&(1<<(b&63)) != 0
}
