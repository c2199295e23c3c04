package image

import (
	"context"
	"os"
	"time"

	"github.com/gofrs/flock"
	"github.com/opencontainers/go-digest"
)

// lockPoll is how often a lock that another process holds is tried again.
const lockPoll = 20 * time.Millisecond

// lock takes the store's lock, which is held briefly only. It keeps the index
// and the removal of files in order.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	f := flock.New(s.path(lockFile), flock.SetPermissions(0o600))
	if _, err := f.TryLockContext(ctx, lockPoll); err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}

// lockItem takes the lock of one blob or disk, which is held while it is made:
// who waits for it then finds it there.
func (s *Store) lockItem(ctx context.Context, d digest.Digest) (unlock func(), err error) {
	path := s.path(locksDir, d.Encoded())
	for {
		f := flock.New(path, flock.SetPermissions(0o600))
		if _, err := f.TryLockContext(ctx, lockPoll); err != nil {
			return nil, err
		}
		if current(f, path) {
			return func() { os.Remove(path); f.Close() }, nil
		}
		f.Close()
	}
}

// tryLockItem is lockItem for who won't wait.
func (s *Store) tryLockItem(d digest.Digest) (unlock func(), ok bool) {
	path := s.path(locksDir, d.Encoded())
	f := flock.New(path, flock.SetPermissions(0o600))
	if ok, err := f.TryLock(); !ok || err != nil {
		f.Close()
		return nil, false
	}
	if !current(f, path) {
		f.Close()
		return nil, false
	}
	return func() { os.Remove(path); f.Close() }, true
}

// current reports whether a locked file still has its name. Its holder removes
// it, and whoever had opened it before then holds the lock of nothing.
func current(f *flock.Flock, path string) bool {
	held, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(held, named)
}
