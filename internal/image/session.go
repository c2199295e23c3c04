package image

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
	"github.com/opencontainers/go-digest"
)

// session is one operation that adds to the store. It has a directory for its
// temporary files, and a list of the blobs that it is about to use, which nobody
// removes while it lasts. Its lock says whether its process is still alive.
type session struct {
	store *Store
	dir   string
	lock  *flock.Flock
}

const refsFile = "refs"

func (s *Store) begin(ctx context.Context) (*session, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	dir, err := os.MkdirTemp(s.path(tmpDir), "")
	if err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))
	if _, err := lock.TryLock(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return &session{store: s, dir: dir, lock: lock}, nil
}

// end removes the session's files.
func (s *session) end() {
	os.RemoveAll(s.dir)
	s.lock.Close()
}

// create makes a temporary file.
func (s *session) create() (*os.File, error) {
	return os.CreateTemp(s.dir, "file-")
}

// keep protects blobs, there or to come, until the session ends.
func (s *session) keep(ctx context.Context, digests ...digest.Digest) error {
	unlock, err := s.store.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	f, err := os.OpenFile(filepath.Join(s.dir, refsFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	var lines strings.Builder
	for _, d := range digests {
		lines.WriteString(d.String() + "\n")
	}
	_, err = f.WriteString(lines.String())
	return err
}

// keptBySessions returns what sessions in progress protect, and removes what dead
// ones left behind. The store must be locked.
func (s *Store) keptBySessions() map[digest.Digest]bool {
	kept := make(map[digest.Digest]bool)
	sessions, _ := os.ReadDir(s.path(tmpDir))
	for _, entry := range sessions {
		dir := s.path(tmpDir, entry.Name())
		if !entry.IsDir() {
			os.Remove(dir) // an index that was not finished
			continue
		}
		lock := flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))
		if dead, _ := lock.TryLock(); dead {
			os.RemoveAll(dir)
			lock.Close()
			continue
		}
		refs, _ := os.ReadFile(filepath.Join(dir, refsFile))
		for line := range strings.Lines(string(refs)) {
			kept[digest.Digest(strings.TrimSpace(line))] = true
		}
	}
	return kept
}

// removeAbandoned removes what dead processes left behind, and repairs the index,
// unless someone holds the store's lock: then it waits for the next time.
func (s *Store) removeAbandoned() {
	f := flock.New(s.path(lockFile), flock.SetPermissions(0o600))
	defer f.Close()
	if ok, err := f.TryLock(); ok && err == nil {
		s.keptBySessions()
		s.repairIndex()
	}
}
