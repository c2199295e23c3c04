// Package tally counts what a network does, and tells of what it refuses without letting
// a guest flood the log.
package tally

import (
	"net/netip"
	"sync"
	"time"

	"github.com/boxlite-go/boxlite/internal/network/policy"
)

// Denial is something that was refused.
type Denial struct {
	Time     time.Time       `json:"time"`
	Protocol policy.Protocol `json:"protocol,omitempty"`
	Addr     netip.AddrPort  `json:"addr,omitzero"`
	Name     string          `json:"name,omitempty"`
	// Rule is the rule that refused, as in [policy.Decision].
	Rule string `json:"rule"`
	// Kind is what was refused: "flow", "dns", "http", "tls", "frame" or "host".
	Kind string `json:"kind"`
	// Count is how many equal ones this stands for.
	Count int `json:"count"`
}

const (
	period = time.Minute
	// most is how many denials are told of in a period; of the others only their number.
	most = 100
	// maxText bounds what a guest can make a denial hold.
	maxText = 300
)

// Denials passes denials on: the first of its sort at once, equal ones when a minute has
// passed, as one. It is safe for use by several goroutines.
type Denials struct {
	tell func(Denial)

	mu     sync.Mutex
	seen   map[Denial]int // without time and count; how many came after the first
	others int            // those beyond the limit
	timer  *time.Timer    // runs while something is seen
	closed bool
	total  int64
}

// NewDenials returns one that calls tell, from any goroutine and one at a time. Tell must
// not block for long, and not call back.
func NewDenials(tell func(Denial)) *Denials {
	return &Denials{tell: tell, seen: make(map[Denial]int)}
}

// Add tells of a denial, or counts it.
func (d *Denials) Add(denial Denial) {
	denial.Time, denial.Count = time.Time{}, 0
	denial.Name, denial.Rule = shorten(denial.Name), shorten(denial.Rule)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total++
	if d.closed {
		return
	}
	if d.timer == nil {
		d.timer = time.AfterFunc(period, d.flush)
	}
	if _, ok := d.seen[denial]; ok {
		d.seen[denial]++
		return
	}
	if len(d.seen) >= most {
		d.others++
		return
	}
	d.seen[denial] = 0
	denial.Time, denial.Count = time.Now(), 1
	d.tell(denial)
}

// Total returns how many there were.
func (d *Denials) Total() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.total
}

// Close tells of what was only counted so far. Later denials are counted only.
func (d *Denials) Close() {
	d.flush()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.timer != nil {
		d.timer.Stop()
	}
}

// flush ends a period.
func (d *Denials) flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	now := time.Now()
	for denial, count := range d.seen {
		if count > 0 {
			denial.Time, denial.Count = now, count
			d.tell(denial)
		}
	}
	if d.others > 0 {
		d.tell(Denial{Time: now, Kind: "flow", Rule: "(others)", Count: d.others})
	}
	clear(d.seen)
	d.others = 0
}

func shorten(s string) string {
	if len(s) > maxText {
		return s[:maxText] + "…"
	}
	return s
}
