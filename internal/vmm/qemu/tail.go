package qemu

import (
	"bytes"
	"strings"
	"sync"
)

// tail keeps the end of what is written to it.
type tail struct {
	mu    sync.Mutex
	limit int
	data  []byte // up to twice the limit, so that little is copied
}

func newTail(limit int) *tail { return &tail{limit: limit} }

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
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
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.data[max(0, len(t.data)-t.limit):])
}

// lastLine returns the last line that is not blank.
func (t *tail) lastLine() string {
	text := strings.TrimSpace(t.String())
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}

// lineWith returns the last line in text that has marker in it, from marker on.
func lineWith(text, marker string) string {
	at := bytes.LastIndex([]byte(text), []byte(marker))
	if at < 0 {
		return ""
	}
	line, _, _ := strings.Cut(text[at:], "\n")
	return strings.TrimRight(line, "\r ")
}
