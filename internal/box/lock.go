package box

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/boxlite-go/boxlite/internal/audit"
	"github.com/boxlite-go/boxlite/internal/durable"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/shim"
	"github.com/boxlite-go/boxlite/internal/stage"
)

// Locked is a box whose lock is held: nobody else changes its state, or starts
// or removes it. Its record is true when it was locked: a box that is said to
// run has a shim.
type Locked struct {
	Record
	store *Store
	lock  *flock.Flock
	// unrecorded is an event that has happened, and is not in the audit log yet.
	unrecorded note
}

// Lock takes the lock of a box, waiting for whoever holds it until ctx ends. The
// caller calls Unlock.
func (s *Store) Lock(ctx context.Context, id string) (*Locked, error) {
	return s.locked(ctx, id, func(lock *flock.Flock) (bool, error) {
		return lock.TryLockContext(ctx, lockRetry)
	})
}

// TryLock is Lock that does not wait: it returns nil, without an error, if
// another holds the lock.
func (s *Store) TryLock(ctx context.Context, id string) (*Locked, error) {
	return s.locked(ctx, id, (*flock.Flock).TryLock)
}

func (s *Store) locked(ctx context.Context, id string, take func(*flock.Flock) (bool, error)) (*Locked, error) {
	lock := flock.New(filepath.Join(s.Dir(id), fileLock), flock.SetPermissions(0o600))
	held, err := take(lock)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, notFound(id)
		}
		return nil, lockError("lock the box", id, err)
	}
	if !held {
		return nil, nil
	}
	// Whoever held the lock before may have removed the box: then nothing is at
	// its path any more, for IDs are never used again.
	r, err := s.read(id)
	l := &Locked{Record: r, store: s, lock: lock}
	if err != nil {
		l.Unlock()
		return nil, err
	}
	// Nobody else writes here now: what is not finished never will be.
	for _, name := range []string{fileState, fileConfig} {
		_ = os.Remove(filepath.Join(l.Dir(), name+durable.Suffix))
	}
	l.catchUp()
	l.settle(ctx)
	return l, nil
}

// Unlock lets others change the box. It may be called again, without effect.
func (l *Locked) Unlock() { _ = l.lock.Close() }

// Dir returns the folder of the box.
func (l *Locked) Dir() string { return l.store.Dir(l.ID) }

// Set changes the state, and returns when it is on disk and in the audit log. A
// transition that the table doesn't have gives an error of kind InvalidState. When
// a run begins, what the last one left is forgotten.
//
// A box is not started or paused if that can't be recorded. All else has happened
// already: the state is then changed although there is an error, and whoever takes
// the box's lock next tries to record it; except that a box is stopping, which has
// an outcome to be recorded.
func (l *Locked) Set(state State) error {
	return l.set(state, eventOf(l.State.Status, state.Status))
}

func (l *Locked) set(state State, event audit.Type) error {
	op := fmt.Sprintf("change the box from %s to %s", l.State.Status, state.Status)
	if !l.State.Status.Can(state.Status) {
		return &protocol.Error{
			Kind: protocol.KindInvalidState, Op: op, Box: l.Config.Label(),
			Err: errors.New("a box can't do that"),
		}
	}
	switch {
	case intended(event):
		if err := l.announce(event, state); err != nil {
			return err
		}
		event = ""
	case event != "" && event != audit.Stopping:
		l.mark(note{event: event})
	}
	err := error(nil)
	if state.Status == Starting && !l.State.Status.Active() && l.State.Status != Unknown {
		// An exit record that is found later is then of this run, whatever the
		// clock says.
		err = shim.Forget(l.Dir())
	}
	if err == nil {
		err = replaceJSON(filepath.Join(l.Dir(), fileState), state)
	}
	if err != nil {
		return storageError(op, l.Config.Label(), err)
	}
	l.State = state
	switch event {
	case "":
		return nil
	case audit.Stopping:
		return l.store.log.Append(l.event(event))
	}
	return l.record(l.store.log.Append)
}

// Found records a state that the box has come to already, and which it is in
// although there is an error. If it can't be written, as on a full disk, whoever
// looks next finds it again; if it can't be recorded, he tries to.
func (l *Locked) Found(state State) error {
	event := eventOf(l.State.Status, state.Status)
	if event == audit.Stopping {
		event = "" // it ends by itself, or who asked for that has recorded it
	}
	err := l.set(state, event)
	l.State = state
	return err
}

// Remove deletes the box, which must not be active, and unlocks it. Once the
// box's folder has lost its name the box is gone, even if this process is then
// killed, or it can't be recorded.
func (l *Locked) Remove() error {
	defer l.Unlock()
	const op = "remove the box"
	if l.State.Status.Active() || l.Err != nil && running(context.Background(), l.Dir()) {
		return &protocol.Error{
			Kind: protocol.KindInvalidState, Op: op, Box: l.Config.Label(),
			Err:  fmt.Errorf("it is %s", l.State.Status),
			Hint: "stop it first, or remove it by force with: boxlite rm -f " + l.Config.Label(),
		}
	}
	gone := fmt.Sprintf("%s%s-%d", prefixGone, l.ID, time.Now().UnixNano())
	stage.Reached("remove/asked", l.Config.Label())
	err := os.Rename(l.Dir(), filepath.Join(l.store.dir, gone))
	if err == nil {
		err = durable.SyncDir(l.store.dir)
	}
	if err == nil {
		stage.Reached("remove/renamed", l.Config.Label())
		err = l.store.bury(gone, l.Record, l.unrecorded)
	}
	if _, told := errors.AsType[*protocol.Error](err); err != nil && !told {
		err = storageError(op, l.Config.Label(), err)
	}
	return err
}

// Removed reports whether the box is gone.
func (l *Locked) Removed() bool {
	_, err := os.Lstat(l.Dir())
	return errors.Is(err, fs.ErrNotExist)
}
