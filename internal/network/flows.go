package network

import (
	"context"
	"net"
	"sync"

	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/network/tally"
)

// roomy is how many flows may have buffers as large as they need, 4 MiB in each direction,
// and smallFlow what those beyond it have: a guest that never reads holds host memory.
const (
	roomy     = 128
	smallFlow = 128 << 10
)

// flow is one that the guest has begun, from the decision to its end.
type flow struct {
	question policy.Question // of kind Flow
	own      bool            // it is to the gateway itself, and no policy is asked
	crowded  bool            // it gets small buffers
	traffic  *tally.Traffic
	ctx      context.Context
	cancel   context.CancelFunc

	mu    sync.Mutex
	seen  string // the name that was seen in it
	is    bool   // seen is set
	conns []net.Conn
	ended bool
}

// hold makes the flow end with conn, and conn with the flow.
func (f *flow) hold(conn net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		reset(conn)
		return
	}
	f.conns = append(f.conns, conn)
}

// saw notes the name by which the flow was allowed.
func (f *flow) saw(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen, f.is = name, true
}

// reset ends the flow, for both sides.
func (f *flow) reset() {
	for _, conn := range f.release() {
		reset(conn)
	}
}

// close ends the flow. What was written still arrives.
func (f *flow) close() {
	for _, conn := range f.release() {
		conn.Close()
	}
}

// release returns what the flow held, and has it hold nothing any more.
func (f *flow) release() []net.Conn {
	f.mu.Lock()
	conns := f.conns
	f.conns, f.ended = nil, true
	f.mu.Unlock()
	f.cancel()
	return conns
}

// decide asks about the flow again.
func (f *flow) decide(p *policy.Policy) policy.Decision {
	f.mu.Lock()
	question, seen, is := f.question, f.seen, f.is
	f.mu.Unlock()
	decision := p.Decide(question)
	if decision.Verdict != policy.Inspect || !is {
		return decision
	}
	question.Kind, question.Name = policy.Seen, seen
	return p.Decide(question)
}

// flows are those that there are.
type flows struct {
	limit int

	mu     sync.Mutex
	all    map[*flow]struct{}
	closed bool
	wg     sync.WaitGroup
}

// add returns false if there are too many, or the network is closed.
func (s *flows) add(f *flow) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.all) >= s.limit {
		return false
	}
	f.crowded = len(s.all) >= roomy
	s.all[f] = struct{}{}
	s.wg.Add(1)
	return true
}

func (s *flows) remove(f *flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, f)
	s.wg.Done()
}

func (s *flows) snapshot() []*flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*flow, 0, len(s.all))
	for f := range s.all {
		all = append(all, f)
	}
	return all
}

// reset resets all flows, for good.
func (s *flows) reset() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, f := range s.snapshot() {
		f.reset()
	}
}
