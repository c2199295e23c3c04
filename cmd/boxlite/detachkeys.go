package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// defaultDetachKeys are docker's.
const defaultDetachKeys = "ctrl-p,ctrl-q"

// detachFlag defines --detach-keys.
func detachFlag(c *cobra.Command, keys *string) {
	c.Flags().StringVar(keys, "detach-keys", defaultDetachKeys, "on a terminal, leave the command running after `KEYS`, such as ctrl-p,ctrl-q; empty for never")
}

// parseDetachKeys reads keys as docker writes them: single characters, or ctrl- and
// one of a-z and @[\]^_, with commas between.
func parseDetachKeys(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	var keys []byte
	for key := range strings.SplitSeq(text, ",") {
		char, ctrl := strings.CutPrefix(strings.ToLower(key), "ctrl-")
		switch {
		case !ctrl && len(key) == 1:
			keys = append(keys, key[0])
		case ctrl && len(char) == 1 && (char[0] >= 'a' && char[0] <= 'z' || strings.Contains(`@[\]^_`, char)):
			keys = append(keys, strings.ToUpper(char)[0]-'@')
		default:
			return nil, usagef("--detach-keys: %q is neither a character nor ctrl- and one of a-z, @, [, \\, ], ^, _", key)
		}
	}
	return keys, nil
}

// detachReader passes on what is typed, until the keys have been: it then calls
// detach and ends. Keys that may be the first of these are held back until the next.
type detachReader struct {
	in     io.Reader
	keys   []byte
	detach func()

	seen int    // how many of the keys have been typed
	out  []byte // what is to be passed on
	err  error
}

// Read implements io.Reader.
func (r *detachReader) Read(p []byte) (int, error) {
	for len(r.out) == 0 && r.err == nil {
		buf := make([]byte, max(1, len(p)))
		n, err := r.in.Read(buf)
		r.err = err
		r.take(buf[:n])
		if r.err != nil && r.seen < len(r.keys) {
			r.release() // no more keys can follow
		}
	}
	if len(r.out) == 0 {
		return 0, r.err
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// take looks for the keys in what was typed.
func (r *detachReader) take(typed []byte) {
	for _, b := range typed {
		if b != r.keys[r.seen] {
			r.release()
			if b != r.keys[0] {
				r.out = append(r.out, b)
				continue
			}
		}
		if r.seen++; r.seen == len(r.keys) {
			r.err = io.EOF
			r.detach()
			return
		}
	}
}

// release passes on keys that were held back.
func (r *detachReader) release() {
	r.out = append(r.out, r.keys[:r.seen]...)
	r.seen = 0
}
