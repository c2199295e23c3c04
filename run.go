package boxlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/boxlite-go/boxlite/internal/box"
	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
	"github.com/boxlite-go/boxlite/internal/shim"
)

// run is one run of a box, as this Runtime knows it.
type run struct {
	client *shim.Client
	// attached runs end with this Runtime.
	attached atomic.Bool
	// ended is closed when the run is over and its record says so. It is nil if
	// another process started the shim.
	ended chan struct{}
	// exit may be read once ended is closed; nil if the shim wrote none.
	exit *boxlitev1.ExitRecord
	// final is the box's state once the run had ended, before it was started
	// again. It may be read once ended is closed; nil if it is not known.
	final *box.State
	// number is which of the box's runs it is, policy what follows it, delay how
	// long the restart policy had waited before it, since when it was ready.
	number int
	policy RestartPolicy
	delay  time.Duration
	since  time.Time

	mu    sync.Mutex
	ready bool
}

// pollInterval is how often a shim that another process started is looked at,
// when its end is waited for.
const pollInterval = 10 * time.Millisecond

// awaitReady waits until the container of a run serves commands.
func (r *run) awaitReady(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ready {
		return nil
	}
	if _, err := r.client.Ready(ctx); err != nil {
		return err
	}
	r.ready = true
	return nil
}

// isEnding reports whether the run is about to end, as far as its shim can say.
func (r *run) isEnding(ctx context.Context) bool {
	status, err := r.client.Status(ctx)
	return err == nil && status.GetStage() == shim.StageStopping
}

// awaitEnd waits until the run's shim, and so all of the run, is gone.
func (r *run) awaitEnd(ctx context.Context) error {
	ended := r.client.Ended()
	if ended != nil {
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for r.client.Alive() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// endTimeout is how long the end of a box may take whose connection broke.
const endTimeout = 3 * time.Second

// explainLoss explains why a connection to a run broke: most often the box has ended,
// and its record says how. doing is what that came in the midst of.
func (b *Box) explainLoss(r *run, err error, doing string) error {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if r.awaitEnd(ctx) != nil {
		// The box lives: it is the connection.
		return &Error{Kind: protocol.KindOf(err), Err: err, Hint: "if it happens again, stop the box and start it again"}
	}
	record, e := shim.ReadExit(b.rt.boxes.Dir(b.config.ID))
	switch {
	case e != nil && doing == "":
		return &Error{Kind: ErrStopped, Err: errors.New("the box has ended")}
	case e != nil:
		return &Error{Kind: ErrStopped, Err: errors.New("the box ended" + doing)}
	case record.GetError() != nil:
		return rpc.FromDetail(record.GetError())
	}
	return &Error{Kind: ErrStopped, Err: fmt.Errorf("the box was %s%s", record.GetReason(), doing)}
}

// track makes a run that this Runtime started known to it, and follows it to its
// end.
func (rt *Runtime) track(id string, r *run) error {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.closed {
		return &Error{Kind: ErrStopped, Op: "start the box", Err: errors.New("the Runtime has been closed")}
	}
	if old := rt.runs[id]; old != nil {
		_ = old.client.Close() // of a run that has ended
	}
	rt.runs[id] = r
	r.ready, r.since = true, time.Now()
	rt.watchers.Go(func() { rt.follow(id, r) })
	return nil
}

// follow waits for the end of a run, brings the box's record up to date, and does
// what the box's restart policy wants.
func (rt *Runtime) follow(id string, r *run) {
	select {
	case <-r.client.Ended():
	case <-rt.closing:
		return
	}
	ctx := context.Background()
	r.exit, _ = shim.ReadExit(rt.boxes.Dir(id))            // nil if the shim was killed
	if record, err := rt.boxes.Load(ctx, id); err == nil { // else whoever looks next will try again
		r.end(record.State)
		rt.collect(ctx, record)
	}
	next := rt.planRestart(id, r)
	close(r.ended)
	rt.forget(id, r)
	if next != nil {
		rt.again(id, next)
	}
}

// end notes the state of the box, if that is the one after this run.
func (r *run) end(s box.State) {
	if s.Runs == r.number && !s.Status.Active() {
		r.final = &s
	}
}

// forget drops a run that has ended.
func (rt *Runtime) forget(id string, r *run) {
	rt.mu.Lock()
	if rt.runs[id] == r {
		delete(rt.runs, id)
	}
	rt.mu.Unlock()
	_ = r.client.Close()
}

// connect returns the present run of a box. The error is of kind Stopped if
// there is none.
func (rt *Runtime) connect(ctx context.Context, id string) (*run, error) {
	if err := rt.check(); err != nil {
		return nil, err
	}
	return rt.connectEver(ctx, id)
}

// connectEver is connect that works while the Runtime is being closed.
func (rt *Runtime) connectEver(ctx context.Context, id string) (*run, error) {
	rt.mu.RLock()
	r := rt.runs[id]
	rt.mu.RUnlock()
	if r != nil && r.client.Alive() {
		return r, nil
	}
	client, err := shim.Connect(ctx, rt.boxes.Dir(id))
	if err != nil {
		return nil, err
	}
	fresh := &run{client: client}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if now := rt.runs[id]; now != r && now != nil {
		_ = client.Close() // another was quicker
		return now, nil
	}
	if r != nil && r.ended == nil {
		_ = r.client.Close()
	}
	rt.runs[id] = fresh
	return fresh, nil
}

// load returns a box's record. A box that is to be removed when it stops, and
// has, is not found.
func (rt *Runtime) load(ctx context.Context, id string) (box.Record, error) {
	record, err := rt.boxes.Load(ctx, id)
	if err == nil && rt.collect(ctx, record) {
		return box.Record{}, &Error{Kind: ErrNotFound, Op: "look up the box", Box: record.Config.Label(), Err: errors.New("it was removed when it stopped")}
	}
	return record, err
}

// collect removes a box that is to be removed when it stops, if it has. It
// reports whether the box is gone.
func (rt *Runtime) collect(ctx context.Context, record box.Record) bool {
	if !record.Config.AutoRemove || record.State.Status != box.Stopped {
		return false
	}
	l, err := rt.boxes.TryLock(ctx, record.ID)
	if l == nil {
		return errors.Is(err, ErrNotFound)
	}
	defer l.Unlock()
	if l.State.Status == box.Stopped {
		_ = rt.discard(l) // whoever looks next tries again
	}
	return l.Removed()
}

func (rt *Runtime) hostPath(id string, elements ...string) string {
	return filepath.Join(append([]string{rt.boxes.Dir(id)}, elements...)...)
}
