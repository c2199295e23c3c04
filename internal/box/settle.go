package box

import (
	"context"
	"errors"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/shim"
)

// settled returns the record after putting it right. A box whose lock another
// process holds is being changed, and is what it says.
func (s *Store) settled(ctx context.Context, r Record) (Record, error) {
	if !r.State.Status.Active() && r.State.Status != Unknown {
		return r, nil
	}
	if alive(ctx, s.Dir(r.ID)) {
		return r, nil
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

// settle makes a box that is said to be active, but has no shim, stopped; and one
// of whose record only the state was damaged, too.
func (l *Locked) settle(ctx context.Context) error {
	switch {
	case l.State.Status == Unknown && l.Config.Format != 0 && !alive(ctx, l.Dir()):
		err := l.Set(State{Status: Stopped, ImageDigest: l.Config.ImageDigest, Error: FailureOf(l.Err)})
		if err == nil {
			l.Err = nil
		}
		return err
	case l.State.Status.Active() && !alive(ctx, l.Dir()):
		return l.Set(l.State.Ended(lastExit(l.Dir(), l.State.StartedAt)))
	}
	return nil
}

// alive reports whether a shim runs for the box in dir.
func alive(ctx context.Context, dir string) bool {
	client, err := shim.Connect(ctx, dir)
	if err == nil {
		_ = client.Close()
	}
	return !errors.Is(err, protocol.KindStopped)
}

// lastExit returns the exit record of the run that began at since, or one that
// says that there is none.
func lastExit(dir string, since time.Time) *boxlitev1.ExitRecord {
	record, err := shim.ReadExit(dir)
	if err == nil && record.GetUnixNanos() >= since.UnixNano() {
		return record
	}
	return &boxlitev1.ExitRecord{
		Reason: ReasonLost, UnixNanos: time.Now().UnixNano(),
		Error: protocol.ToDetail(&protocol.Error{
			Kind: protocol.KindEngine, Err: errors.New("its shim ended without saying how: it was killed, or the host was restarted"),
		}),
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
		s.Error = FailureOf(protocol.FromDetail(detail))
	}
	return s
}
