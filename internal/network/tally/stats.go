package tally

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/boxlite-go/boxlite/internal/network/policy"
)

// Stats are the numbers of a network. Up is what comes from the guest, Down what goes
// to it.
type Stats struct {
	UpBytes     int64 `json:"upBytes"`
	DownBytes   int64 `json:"downBytes"`
	UpPackets   int64 `json:"upPackets"`
	DownPackets int64 `json:"downPackets"`
	// Connections are flows at this moment: TCP, UDP and those through published ports.
	Connections int64 `json:"connections"`
	// Total are all flows that began.
	Total int64 `json:"total"`
	// Failed are flows whose destination could not be reached.
	Failed int64 `json:"failed"`
	// Queries are names that were asked for.
	Queries int64 `json:"queries"`
	// Denied are flows, names, requests and frames that were refused.
	Denied int64 `json:"denied"`
	// Dropped are frames that were refused, by reason.
	Dropped map[string]int64 `json:"dropped,omitempty"`
	// Destinations are where flows go. From the thousandth on they are one, "others".
	Destinations []Destination `json:"destinations,omitempty"`
}

// Destination is where flows go.
type Destination struct {
	Host      string          `json:"host"` // a name, or an address
	Port      uint16          `json:"port,omitempty"`
	Protocol  policy.Protocol `json:"protocol,omitempty"`
	Flows     int64           `json:"flows"`
	UpBytes   int64           `json:"upBytes"`
	DownBytes int64           `json:"downBytes"`
}

const (
	maxDestinations = 1000
	others          = "others"
)

// Counters count. The zero value is ready for use.
type Counters struct {
	UpBytes, DownBytes     atomic.Int64
	UpPackets, DownPackets atomic.Int64
	Connections, Total     atomic.Int64
	Failed                 atomic.Int64

	mu           sync.Mutex
	dropped      map[string]int64
	destinations map[destinationKey]*Traffic
}

type destinationKey struct {
	host     string
	port     uint16
	protocol policy.Protocol
}

// Traffic is what went to a destination, and came from it.
type Traffic struct{ Flows, Up, Down atomic.Int64 }

// Drop counts a dropped frame, and reports whether it is the first for this reason.
func (c *Counters) Drop(reason string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dropped == nil {
		c.dropped = make(map[string]int64)
	}
	c.dropped[reason]++
	return c.dropped[reason] == 1
}

// To counts a flow to a destination, and returns where to count its bytes.
func (c *Counters) To(host string, port uint16, protocol policy.Protocol) *Traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.destinations == nil {
		c.destinations = make(map[destinationKey]*Traffic)
	}
	key := destinationKey{host, port, protocol}
	if _, ok := c.destinations[key]; !ok && len(c.destinations) >= maxDestinations-1 {
		key = destinationKey{host: others}
	}
	traffic := c.destinations[key]
	if traffic == nil {
		traffic = new(Traffic)
		c.destinations[key] = traffic
	}
	traffic.Flows.Add(1)
	return traffic
}

// Stats returns the numbers.
func (c *Counters) Stats() Stats {
	s := Stats{
		UpBytes: c.UpBytes.Load(), DownBytes: c.DownBytes.Load(),
		UpPackets: c.UpPackets.Load(), DownPackets: c.DownPackets.Load(),
		Connections: c.Connections.Load(), Total: c.Total.Load(), Failed: c.Failed.Load(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Dropped = maps.Clone(c.dropped)
	for key, traffic := range c.destinations {
		s.Destinations = append(s.Destinations, Destination{
			Host: key.host, Port: key.port, Protocol: key.protocol,
			Flows: traffic.Flows.Load(), UpBytes: traffic.Up.Load(), DownBytes: traffic.Down.Load(),
		})
	}
	slices.SortFunc(s.Destinations, func(a, b Destination) int {
		return cmp.Or(cmp.Compare(b.UpBytes+b.DownBytes, a.UpBytes+a.DownBytes), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port))
	})
	return s
}
