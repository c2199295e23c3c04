package block

import "sync"

// maxWorkers is how many requests of a device wait for the host at one time.
const maxWorkers = 8

// pool does requests, in the order that they come, in a few goroutines. They begin when
// there is something to do and end when there is not.
type pool struct {
	do      func(*request)
	workers sync.WaitGroup

	mu          sync.Mutex
	first, last *request
	n           int // workers
}

// add has a request done. It does not wait.
func (p *pool) add(r *request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.next = nil
	if p.first == nil {
		p.first = r
	} else {
		p.last.next = r
	}
	p.last = r
	if p.n < maxWorkers {
		p.n++
		p.workers.Go(p.work)
	}
}

func (p *pool) work() {
	for {
		p.mu.Lock()
		r := p.first
		if r == nil {
			p.n--
			p.mu.Unlock()
			return
		}
		p.first, r.next = r.next, nil
		p.mu.Unlock()
		p.do(r)
	}
}
