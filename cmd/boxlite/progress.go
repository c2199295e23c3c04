package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/boxlite-go/boxlite"
)

const (
	// drawEvery is how often bars are drawn anew.
	drawEvery = 100 * time.Millisecond
	barWidth  = 30
	// maxBars is how many layers are shown, at most.
	maxBars = 24
	// quickBytes are converted so quickly that nobody need be told.
	quickBytes = 16 << 20
)

// progress shows how far the fetching of an image is: bars on a terminal, a line
// for each thing done elsewhere. Nothing is shown of an image that is there.
type progress struct {
	w   io.Writer
	ref string
	fd  int // of the terminal, or -1

	mu     sync.Mutex
	begun  bool
	layers []*layer
	lines  int // of bars on the screen
	drawn  time.Time
}

// layer is one thing that is downloaded or converted.
type layer struct {
	key         string
	done, total int64
	reported    bool
}

func newProgress(w io.Writer, ref string) *progress {
	p := &progress{w: w, ref: printable(ref), fd: -1}
	if fd, ok := terminal(w); ok {
		p.fd = fd
	}
	return p
}

func (p *progress) update(e boxlite.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var key string
	switch e.Phase {
	case "download":
		if key = printable(shortDigest(e.Layer)); key == "" {
			key = "file" // its digest will be known when it has been read
		}
	case "convert":
		key = "root disk"
	default:
		return
	}
	if e.Phase == "convert" && !p.begun && e.Total < quickBytes || e.Done == e.Total && e.Total > 0 && p.find(key) == nil {
		return // it is there already, or as good as there
	}
	if !p.begun {
		p.begun = true
		fmt.Fprintf(p.w, "fetching %s\n", p.ref)
	}
	l := p.layer(key)
	l.done, l.total = e.Done, e.Total
	finished := l.total > 0 && l.done >= l.total
	if p.fd < 0 {
		if finished && !l.reported {
			l.reported = true
			fmt.Fprintf(p.w, "%s: %s\n", l.key, byteCount(l.total))
		}
		return
	}
	if now := time.Now(); now.Sub(p.drawn) >= drawEvery {
		p.drawn = now
		p.draw()
	}
}

func (p *progress) find(key string) *layer {
	for _, l := range p.layers {
		if l.key == key {
			return l
		}
	}
	return nil
}

func (p *progress) layer(key string) *layer {
	l := p.find(key)
	if l == nil {
		l = &layer{key: key}
		p.layers = append(p.layers, l)
	}
	return l
}

// draw writes all bars over those on the screen, in one Write, so that nothing
// flickers.
func (p *progress) draw() {
	width := 80
	if w, _, err := term.GetSize(p.fd); err == nil && w > 0 {
		width = w
	}
	var frame bytes.Buffer
	if p.lines > 0 {
		fmt.Fprintf(&frame, "\x1b[%dA", p.lines)
	}
	shown := p.layers[max(0, len(p.layers)-maxBars):]
	for _, l := range shown {
		line := []rune(l.bar())
		frame.WriteString(string(line[:min(len(line), width-1)]))
		frame.WriteString("\x1b[K\n")
	}
	p.lines = len(shown)
	_, _ = p.w.Write(frame.Bytes()) // what can't be shown is not missed
}

func (l *layer) bar() string {
	if l.total <= 0 {
		return fmt.Sprintf("%-12s  %s", l.key, byteCount(l.done))
	}
	filled := int(min(l.done, l.total) * barWidth / l.total)
	return fmt.Sprintf("%-12s  %s%s  %s / %s", l.key,
		strings.Repeat("█", filled), strings.Repeat("░", barWidth-filled), byteCount(l.done), byteCount(l.total))
}

// close draws the end state.
func (p *progress) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fd >= 0 && len(p.layers) > 0 {
		p.draw()
	}
}
