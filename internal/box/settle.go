package box

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
	"github.com/boxlite-go/boxlite/internal/shim"
)

// shimTimeout is how long a shim may take to say what it is doing.
const shimTimeout = 5 * time.Second

// settled returns the record after putting it right. A box whose lock another
// process holds is being changed, and is what it says.
func (s *Store) settled(ctx context.Context, r Record) (Record, error) {
	if !s.isUnrecorded(r.ID) {
		if !r.State.Status.Active() && r.State.Status != Unknown {
			return r, nil
		}
		if r.State.Status == Running && running(ctx, s.Dir(r.ID)) {
			return r, nil
		}
	}
	l, err := s.TryLock(ctx, r.ID)
	if err != nil {
		return r, err
	}
	if l == nil {
		return r, nil
	}
	defer l.Unlock()
	return l.Record, nil
}

// settle puts the record right. A box that is said to be active, and has no shim,
// has stopped. One whose start, stop or pause was cut short, because who asked for
// it was killed, is what its shim says. If only the state is damaged, there is a
// new one.
func (l *Locked) settle(ctx context.Context) {
	state, damaged := l.State, l.State.Status == Unknown
	if damaged && l.Config.Format == 0 || !damaged && !state.Status.Active() {
		return
	}
	runs := running(ctx, l.Dir())
	switch {
	case runs:
		now, ok := statusNow(ctx, l.Dir())
		if !ok {
			return
		}
		state.Status = now
	case damaged:
		state.Status = Stopped
	default:
		state = state.Ended(lastExit(l.Dir()))
	}
	if damaged {
		state.ImageDigest, state.Error = l.Config.ImageDigest, FailureOf(l.Err)
		l.Err = nil
	}
	if state.Status != l.State.Status {
		_ = l.Found(state) // on a full disk boxes can be looked up and removed, too
	}
	if !runs {
		_ = shim.Sweep(l.Dir()) // what stays is swept by the next start
	}
}

// running reports whether a shim runs for the box in dir, be it one that can't be
// reached.
func running(ctx context.Context, dir string) bool {
	client, err := shim.Connect(ctx, dir)
	if err == nil {
		_ = client.Close()
	}
	return !errors.Is(err, protocol.KindStopped)
}

// statusNow asks a shim what its box is doing.
func statusNow(ctx context.Context, dir string) (Status, bool) {
	client, err := shim.Connect(ctx, dir)
	if err != nil {
		return Unknown, false
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, shimTimeout)
	defer cancel()
	status, err := client.Status(ctx)
	if err != nil {
		return Unknown, false
	}
	switch status.GetStage() {
	case shim.StageRunning:
		return Running, true
	case shim.StagePaused:
		return Paused, true
	case shim.StageStopping:
		return Stopping, true
	}
	return Starting, true
}

// lastExit returns the exit record of the latest run, or one that says that there
// is none.
func lastExit(dir string) *boxlitev1.ExitRecord {
	record, err := shim.ReadExit(dir)
	if err == nil {
		return record
	}
	cause := errors.New("its shim ended without saying how: it was killed, or the host was restarted")
	if !errors.Is(err, fs.ErrNotExist) {
		cause = fmt.Errorf("it is not known how its shim ended: %w", err)
	}
	return &boxlitev1.ExitRecord{
		Reason: ReasonLost, UnixNanos: time.Now().UnixNano(),
		Error: rpc.ToDetail(&protocol.Error{Kind: protocol.KindEngine, Err: cause}),
	}
}

// Ended returns the state after a run that ended as the record says: Failed if
// the box never got to run, Stopped otherwise.
func (s State) Ended(record *boxlitev1.ExitRecord) State {
	next := Stopped
	if record.GetReason() == shim.ReasonFailed && s.Status.Can(Failed) {
		next = Failed
	}
	s.Status = next
	s.FinishedAt = time.Unix(0, record.GetUnixNanos()).UTC()
	s.Exit = &Exit{Reason: record.GetReason()}
	if status := record.GetStatus(); status != nil {
		code := int(status.GetCode())
		s.Exit.Code, s.Exit.Signal = &code, int(status.GetSignal())
	}
	s.Error = nil
	if detail := record.GetError(); detail != nil {
		s.Error = FailureOf(rpc.FromDetail(detail))
	}
	return s
}
