package dns

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// minRemembered is how long it counts at least that the guest was told an address.
const minRemembered = 10 * time.Minute

// Bounds of what is remembered. A guest that makes us forget harms only itself.
const (
	maxAddrs = 4096
	maxNames = 64 // of one address
)

// names are the names for which the guest was told addresses.
type names struct {
	mu    sync.Mutex
	addrs map[netip.Addr][]told
}

type told struct {
	name  string
	until time.Time
}

func (n *names) add(addr netip.Addr, name string, until time.Time) {
	addr = addr.Unmap()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.addrs == nil {
		n.addrs = map[netip.Addr][]told{}
	}
	list, ok := n.addrs[addr]
	if !ok && len(n.addrs) >= maxAddrs {
		n.evict()
	}
	if i := slices.IndexFunc(list, func(t told) bool { return t.name == name }); i >= 0 {
		until = latest(until, list[i].until)
		list = slices.Delete(list, i, i+1)
	}
	if len(list) >= maxNames {
		list = slices.Delete(list, 0, 1)
	}
	n.addrs[addr] = append(list, told{name, until})
}

// evict makes room: of some addresses, the one that would expire first goes.
func (n *names) evict() {
	const sample = 16
	var victim netip.Addr
	var first time.Time
	seen := 0
	for addr, list := range n.addrs {
		until := list[len(list)-1].until
		if seen == 0 || until.Before(first) {
			victim, first = addr, until
		}
		if seen++; seen == sample {
			break
		}
	}
	delete(n.addrs, victim)
}

func (n *names) of(addr netip.Addr, now time.Time) []string {
	addr = addr.WithZone("").Unmap()
	n.mu.Lock()
	defer n.mu.Unlock()
	list := slices.DeleteFunc(n.addrs[addr], func(t told) bool { return !now.Before(t.until) })
	if len(list) == 0 {
		delete(n.addrs, addr)
		return nil
	}
	n.addrs[addr] = list
	found := make([]string, len(list))
	for i, t := range list {
		found[i] = t.name
	}
	return found
}

func (n *names) clear() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.addrs)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
