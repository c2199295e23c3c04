package box

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/boxlite-go/boxlite/internal/audit"
	"github.com/boxlite-go/boxlite/internal/durable"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/stage"
)

const (
	prefixNew  = ".new-"
	prefixGone = ".gone-"

	// lockRetry is how often a lock that another holds is tried again: flock(2)
	// can't be waited for and given up at the same time.
	lockRetry = 5 * time.Millisecond
)

// Store is the folder of all boxes. Its methods may be called concurrently, by
// any number of processes.
type Store struct {
	dir string
	log *audit.Log
}

// Open opens the store in dir, which is made if it isn't there, and removes what
// killed processes left half made or half deleted. What happens to boxes is
// recorded in log.
func Open(dir string, log *audit.Log) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, storageError("open the store of boxes", "", err)
	}
	s := &Store{dir: dir, log: log}
	if err := s.sweep(); err != nil {
		return nil, storageError("clean up the store of boxes", "", err)
	}
	return s, nil
}

// sweep does nothing while another process creates a box: what is half made may
// be that one. What can't be removed stays until the next time, and is in nobody's
// way.
func (s *Store) sweep() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var left []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefixNew) || strings.HasPrefix(e.Name(), prefixGone) {
			left = append(left, e.Name())
		}
	}
	if len(left) == 0 {
		return nil
	}
	lock := s.namesLock()
	held, err := lock.TryLock()
	if err != nil || !held {
		return err
	}
	defer lock.Close()
	for _, name := range left {
		if r, ok := s.exhume(name); ok {
			_ = s.bury(name, r, readUnrecorded(filepath.Join(s.dir, name)))
			continue
		}
		_ = os.RemoveAll(filepath.Join(s.dir, name))
	}
	return nil
}

func (s *Store) namesLock() *flock.Flock {
	return flock.New(filepath.Join(s.dir, "."+fileLock), flock.SetPermissions(0o600))
}

// Dir returns the folder of a box.
func (s *Store) Dir(id string) string { return filepath.Join(s.dir, id) }

// Create makes a box. It chooses Config.ID and sets Config.CreatedAt. The box
// exists, whole, on disk and in the audit log, when Create has returned without an
// error; otherwise nothing of it does. A name that is taken gives an error of kind
// AlreadyExists.
func (s *Store) Create(ctx context.Context, config Config) (Record, error) {
	if err := CheckName(config.Name); err != nil {
		return Record{}, err
	}
	config.Format = formatVersion
	config.ID = cmp.Or(config.ID, NewID())
	config.CreatedAt = time.Now().UTC()
	lock := s.namesLock()
	if _, err := lock.TryLockContext(ctx, lockRetry); err != nil {
		return Record{}, lockError("create the box", config.Label(), err)
	}
	defer lock.Close()
	if err := s.checkFree("create the box", config.Name); err != nil {
		return Record{}, err
	}
	record := Record{ID: config.ID, Config: config, State: State{Status: Configured}}
	if err := s.build(record); err != nil {
		return Record{}, storageError("create the box", config.Label(), err)
	}
	// Whoever has found the box already may have recorded it.
	created := &Locked{Record: record, store: s, unrecorded: note{event: audit.Created}}
	if err := created.record(s.log.AppendOnce); err != nil {
		return Record{}, errors.Join(err, s.unbuild(record.ID))
	}
	return record, nil
}

func (s *Store) checkFree(op, name string) error {
	if name == "" {
		return nil
	}
	ids, err := s.IDs()
	if err != nil {
		return storageError(op, name, err)
	}
	for _, id := range ids {
		config, err := s.config(id)
		if err == nil && config.Name == name {
			return &protocol.Error{
				Kind: protocol.KindAlreadyExists, Op: op, Box: name,
				Err:  fmt.Errorf("the name is taken by box %s", id),
				Hint: "choose another name, or remove that box with: boxlite rm " + name,
			}
		}
	}
	return nil
}

// build makes the box's folder under another name, then gives it its own.
func (s *Store) build(r Record) (err error) {
	fresh := filepath.Join(s.dir, prefixNew+r.ID)
	defer func() {
		if err != nil {
			_ = os.RemoveAll(fresh)
		}
	}()
	if err := os.MkdirAll(filepath.Join(fresh, dirLogs), 0o700); err != nil {
		return err
	}
	stage.Reached("create/folder", r.Config.Label())
	if err := createJSON(filepath.Join(fresh, fileConfig), r.Config); err != nil {
		return err
	}
	stage.Reached("create/config", r.Config.Label())
	if err := createJSON(filepath.Join(fresh, fileState), r.State); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(fresh, fileUnrecorded), []byte(audit.Created), 0o600); err != nil {
		return err
	}
	stage.Reached("create/written", r.Config.Label())
	if err := durable.SyncDir(fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, s.Dir(r.ID)); err != nil {
		return err
	}
	stage.Reached("create/named", r.Config.Label())
	return durable.SyncDir(s.dir)
}

// unbuild undoes build.
func (s *Store) unbuild(id string) error {
	fresh := filepath.Join(s.dir, prefixNew+id)
	if err := os.Rename(s.Dir(id), fresh); err != nil {
		return err
	}
	return os.RemoveAll(fresh)
}

func storageError(op, box string, err error) error {
	e := &protocol.Error{Kind: protocol.KindStorage, Op: op, Box: box, Err: err}
	if durable.IsFull(err) {
		e.Kind, e.Hint = protocol.KindResourceExhausted, durable.HintFull
	}
	return e
}

func lockError(op, box string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &protocol.Error{
			Kind: protocol.KindTimeout, Op: op, Box: box,
			Err: fmt.Errorf("another process is changing it: %w", err),
		}
	}
	return storageError(op, box, err)
}
