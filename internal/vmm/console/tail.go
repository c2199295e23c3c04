package console

import (
	"bytes"
	"strings"
	"sync"
)

// Tail keeps the end of what is written to it, also of what a program says on standard
// error. Its methods may be called concurrently.
type Tail struct {
	mu    sync.Mutex
	limit int
	data  []byte // up to twice the limit, so that little is copied
}

// NewTail returns a Tail that keeps that many bytes.
func NewTail(limit int) *Tail { return &Tail{limit: limit} }

// Write never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	if n > t.limit {
		p = p[n-t.limit:]
	}
	if excess := len(t.data) + len(p) - t.limit; len(t.data)+len(p) > 2*t.limit {
		t.data = append(t.data[:0], t.data[excess:]...)
	}
	t.data = append(t.data, p...)
	return n, nil
}

// String returns the last bytes, up to the limit.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.data[max(0, len(t.data)-t.limit):])
}

// LastLine returns the last line that is not blank.
func (t *Tail) LastLine() string {
	text := strings.TrimSpace(t.String())
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}

// LineWith returns the last line in text that has marker in it, from marker on.
func LineWith(text, marker string) string {
	at := bytes.LastIndex([]byte(text), []byte(marker))
	if at < 0 {
		return ""
	}
	line, _, _ := strings.Cut(text[at:], "\n")
	return strings.TrimRight(line, "\r ")
}

// LastLines joins the last n lines of text that are not blank.
func LastLines(text string, n int) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}
