package boxlite

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/boxlite-go/boxlite/internal/box"
)

// RestartPolicy says when a box is started again whose run has ended, though
// nobody asked for that. The zero value is never.
//
// The Runtime that started the box starts it again, for as long as it is open:
// after a tenth of a second, and twice as long after each further end, up to a
// minute; the count begins anew when the box has run for ten seconds. A box that
// any program has stopped stays so.
type RestartPolicy = box.RestartPolicy

// The values of RestartPolicy.Mode.
const (
	RestartNever = box.RestartNever
	// RestartOnFailure is after a run that ended with another code than 0, by a
	// failure of the machine or its holder, or for want of memory.
	RestartOnFailure = box.RestartOnFailure
	RestartAlways    = box.RestartAlways
)

// ParseRestartPolicy reads a policy as docker has it: "no", "on-failure",
// "on-failure:3", "always". "unless-stopped" is the same as "always": a box that
// somebody has stopped is never started again.
func ParseRestartPolicy(text string) (RestartPolicy, error) {
	p, err := box.ParseRestartPolicy(text)
	if err != nil {
		return p, invalid("read the restart policy", hintRestart, err)
	}
	return p, nil
}

const hintRestart = "choose no, on-failure, on-failure:N or always"

func checkRestart(op string, s BoxSpec) error {
	if err := s.Restart.Check(); err != nil {
		return invalid(op, hintRestart, err)
	}
	if s.Restart.Mode != RestartNever && s.AutoRemove {
		return invalid(op, "choose one of --rm and --restart, or of AutoRemove and Restart",
			errors.New("a box that is removed when it has stopped can't be started again"))
	}
	return nil
}

// restartCheck is how often a box that waits to be started again is looked at:
// another program may have stopped or removed it.
const restartCheck = time.Second

// restart is a box that this Runtime is about to start again.
type restart struct {
	runs  int // of the box, by now
	delay time.Duration

	mu    sync.Mutex
	how   *launch // of who joins, if anyone does
	taken bool    // too late to join

	done chan struct{} // closed when run and err are set
	run  *run
	err  error
}

// planRestart decides, at the end of a run, whether the box is to be started
// again.
func (rt *Runtime) planRestart(id string, r *run) *restart {
	if r.policy.Mode == RestartNever {
		return nil
	}
	ctx, cancel := rt.lifetime()
	defer cancel()
	l, err := rt.boxes.Lock(ctx, id) // whoever holds it may be stopping the box
	if err != nil {
		return nil
	}
	defer l.Unlock()
	r.end(l.State)
	if l.State.Runs != r.number || !r.policy.Wants(l.State) {
		return nil
	}
	next := &restart{
		runs: l.State.Runs, delay: box.RestartDelay(r.delay, time.Since(r.since)), done: make(chan struct{}),
	}
	rt.mu.Lock()
	rt.restarts[id] = next
	rt.mu.Unlock()
	return next
}

// again starts a box again after its delay, and after longer ones if it does not
// start.
func (rt *Runtime) again(id string, next *restart) {
	ctx, cancel := rt.lifetime()
	defer cancel()
	r, err := rt.tryAgain(ctx, id, next)
	for err != nil && rt.retries(ctx, id, next, err) {
		next.delay = box.RestartDelay(next.delay, 0)
		r, err = rt.tryAgain(ctx, id, next)
	}
	rt.mu.Lock()
	if rt.restarts[id] == next {
		delete(rt.restarts, id)
	}
	rt.mu.Unlock()
	next.run, next.err = r, err
	close(next.done)
}

func (rt *Runtime) tryAgain(ctx context.Context, id string, next *restart) (*run, error) {
	for left := next.delay; left > 0; left -= restartCheck {
		if err := rt.sleep(ctx, min(left, restartCheck)); err != nil {
			return nil, err
		}
		record, err := rt.boxes.Load(ctx, id)
		if err == nil && !next.wanted(record) {
			err = errStaysDown
		}
		if err != nil {
			return nil, err
		}
	}
	return rt.start(ctx, id, next.take())
}

// retries reports whether a start that failed is to be tried once more.
func (rt *Runtime) retries(ctx context.Context, id string, next *restart, err error) bool {
	if ctx.Err() != nil || errors.Is(err, ErrStopped) || errors.Is(err, ErrNotFound) {
		return false
	}
	record, err := rt.boxes.Load(ctx, id)
	if err != nil {
		return false
	}
	next.runs = record.State.Runs
	return next.wanted(record)
}

var errStaysDown = &Error{Kind: ErrStopped, Op: "start the box again", Err: errors.New("it is to stay as it is")}

// wanted reports whether nobody has stopped or started the box meanwhile.
func (n *restart) wanted(r box.Record) bool {
	return r.State.Runs == n.runs && r.Config.Restart.Wants(r.State)
}

// join has the box started as o says. It reports false if another said so before,
// or it is too late for that.
func (n *restart) join(o launch) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.taken || n.how != nil {
		return false
	}
	n.how = &o
	return true
}

// leave undoes join, and reports false if it is too late for that.
func (n *restart) leave() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.taken {
		return false
	}
	n.how = nil
	return true
}

// take says how to start the box. Nobody can join any more.
func (n *restart) take() launch {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.taken = true
	o := launch{restart: n}
	if n.how != nil {
		o.size, o.begin = n.how.size, n.how.begin
	}
	return o
}

// following returns the run of a box that follows one which has ended, or is to:
// one that has begun already, or that this Runtime is about to begin, as o says
// then. The error is of kind Stopped if there will be none.
func (rt *Runtime) following(ctx context.Context, id string, last *run, o launch) (*run, error) {
	if err := last.awaitEnd(ctx); err != nil {
		return nil, err
	}
	if last.ended != nil {
		select {
		case <-last.ended:
		case <-rt.closing:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	rt.mu.RLock()
	next := rt.restarts[id]
	rt.mu.RUnlock()
	if next == nil {
		return rt.connect(ctx, id)
	}
	return next.await(ctx, o)
}

// await returns the run once it has begun, as o says if nobody else has said how.
func (n *restart) await(ctx context.Context, o launch) (*run, error) {
	joined := n.join(o)
	select {
	case <-n.done:
	case <-ctx.Done():
		if !joined || n.leave() {
			return nil, context.Cause(ctx)
		}
		<-n.done // o.begin may be running
	}
	return n.run, n.err
}

// lastEnded returns the run of this Runtime that has ended, once it is known what
// follows, or nil if there is none.
func (rt *Runtime) lastEnded(ctx context.Context, id string) (*run, error) {
	rt.mu.RLock()
	r := rt.runs[id]
	rt.mu.RUnlock()
	if r == nil || r.ended == nil || r.client.Alive() {
		return nil, nil
	}
	select {
	case <-r.ended:
	case <-rt.closing:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return r, nil
}

// lifetime returns a context that ends when the Runtime is closed. The caller
// calls cancel.
func (rt *Runtime) lifetime() (ctx context.Context, cancel context.CancelFunc) {
	ctx, end := context.WithCancelCause(context.Background())
	go func() {
		select {
		case <-rt.closing:
			end(&Error{Kind: ErrStopped, Err: errors.New("the Runtime has been closed")})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { end(nil) }
}
