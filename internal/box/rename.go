package box

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/boxlite-go/boxlite/internal/audit"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/stage"
)

// Rename gives the box another name. A name that is taken gives an error of kind
// AlreadyExists. As with [Locked.Set], the name may be changed although there is
// an error, if that could not be recorded.
//
// The name stays in config.json, which is replaced: so names are unique for the
// same reason as those of new boxes, and nobody reads half of the change.
func (l *Locked) Rename(ctx context.Context, name string) error {
	const op = "rename the box"
	if l.Err != nil {
		return l.Err
	}
	if name == "" {
		return &protocol.Error{
			Kind: protocol.KindInvalidArgument, Op: op, Box: l.Config.Label(),
			Err: errors.New("no name is given"), Hint: "give it a name; its ID stays what it is",
		}
	}
	if err := CheckName(name); err != nil {
		return err
	}
	if name == l.Config.Name {
		return nil
	}
	names := l.store.namesLock()
	if _, err := names.TryLockContext(ctx, lockRetry); err != nil {
		return lockError(op, l.Config.Label(), err)
	}
	defer names.Close()
	if err := l.store.checkFree(op, name); err != nil {
		return err
	}
	if err := l.recordLeft(); err != nil {
		return err
	}
	l.mark(note{event: audit.Renamed, previousName: l.Config.Name})
	stage.Reached("rename/marked", l.Config.Label())
	config := l.Config
	config.Name = name
	if err := replaceJSON(filepath.Join(l.Dir(), fileConfig), config); err != nil {
		return storageError(op, l.Config.Label(), err)
	}
	l.Config = config
	return l.record(l.store.log.Append)
}

// Name returns the name that a box has now; "" if it has none, or can't be read.
func (s *Store) Name(id string) string {
	config, _ := s.config(id)
	return config.Name
}
