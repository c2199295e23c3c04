package dns

import (
	"slices"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Bounds of the cache, and of how long an entry stays whatever it says of itself.
const (
	maxEntries  = 4096
	maxBytes    = 8 << 20
	maxCached   = time.Hour
	maxNegative = 300 // seconds
)

// question is what answers are kept for.
type question struct {
	name string // canonical
	kind dnsmessage.Type
}

// cache keeps what resolvers have answered, before any policy has seen it.
type cache struct {
	mu      sync.Mutex
	entries map[question]entry
	bytes   int
}

type entry struct {
	result result
	size   int
	stored time.Time
	until  time.Time
}

// get returns a result whose TTLs are what is left of them.
func (c *cache) get(q question, now time.Time) (result, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[q]
	if !ok {
		return result{}, false
	}
	if !now.Before(e.until) || now.Before(e.stored) {
		c.remove(q)
		return result{}, false
	}
	age := uint32(now.Sub(e.stored) / time.Second)
	r := e.result
	r.answers = aged(r.answers, age)
	r.authorities = aged(r.authorities, age)
	return r, true
}

func aged(records []dnsmessage.Resource, age uint32) []dnsmessage.Resource {
	records = slices.Clone(records)
	for i := range records {
		records[i].Header.TTL -= min(age, records[i].Header.TTL)
	}
	return records
}

// put keeps a result for as long as it says: not at all if it does not.
func (c *cache) put(q question, r result, size int, now time.Time) {
	ttl := min(lifetime(r), maxCached)
	if ttl <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = map[question]entry{}
	}
	c.remove(q)
	for other := range c.entries {
		if len(c.entries) < maxEntries && c.bytes+size <= maxBytes {
			break
		}
		c.remove(other)
	}
	c.entries[q] = entry{result: r, size: size, stored: now, until: now.Add(ttl)}
	c.bytes += size
}

// lifetime is the shortest TTL; for a negative answer, what its SOA says (RFC 2308, 5).
func lifetime(r result) time.Duration {
	records := r.answers
	if len(records) == 0 {
		records = r.authorities
	}
	if len(records) == 0 {
		return 0
	}
	shortest := records[0].Header.TTL
	for _, record := range records {
		shortest = min(shortest, record.Header.TTL)
	}
	for _, record := range r.authorities { // also of a chain of aliases that leads nowhere
		shortest = min(shortest, record.Header.TTL)
	}
	return time.Duration(shortest) * time.Second
}

func (c *cache) remove(q question) {
	if e, ok := c.entries[q]; ok {
		c.bytes -= e.size
		delete(c.entries, q)
	}
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
	c.bytes = 0
}
