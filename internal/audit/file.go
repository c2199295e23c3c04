package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/durable"
)

const (
	// lockTimeout is how long another process may hold the file, which takes it
	// some microseconds unless it has been halted in the middle.
	lockTimeout = 5 * time.Second
	// lockRetry is how often it is tried: flock(2) can't be waited for and given
	// up at the same time.
	lockRetry = time.Millisecond
)

// open returns the file to add a line to, locked, and its size. One that has no
// room for the longest line is renamed, and another made.
func (l *Log) open() (*os.File, int64, error) {
	limit := time.Now().Add(lockTimeout)
	for {
		f, err := l.openNamed()
		if err != nil {
			return nil, 0, err
		}
		size, current, err := l.lock(f, limit)
		if err == nil && current {
			if size == 0 || size+maxLine <= l.maxFile {
				return f, size, nil
			}
			err = durable.Rename(l.path(), l.path()+olderSuffix)
		}
		_ = f.Close()
		if err != nil {
			return nil, 0, err
		}
	}
}

// openNamed opens the file, and makes it and its folder if need be. A folder in the
// file's place is damage, and removed.
func (l *Log) openNamed() (*os.File, error) {
	const flags = os.O_RDWR | os.O_CREATE | os.O_APPEND
	f, err := os.OpenFile(l.path(), flags, 0o600)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = os.MkdirAll(l.dir, 0o700)
	case errors.Is(err, unix.EISDIR):
		err = os.RemoveAll(l.path())
	default:
		return f, err
	}
	if err != nil {
		return nil, err
	}
	return os.OpenFile(l.path(), flags, 0o600)
}

// lock takes the lock of a file. It reports whether the file still has its name:
// whoever held the lock before may have renamed it.
func (l *Log) lock(f *os.File, limit time.Time) (size int64, current bool, err error) {
	tick := time.NewTicker(lockRetry)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return 0, false, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		if time.Now().After(limit) {
			return 0, false, fmt.Errorf("another process has held %s for %v", f.Name(), lockTimeout)
		}
		<-tick.C
	}
	held, err := f.Stat()
	if err != nil {
		return 0, false, err
	}
	named, err := os.Stat(l.path())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	return held.Size(), err == nil && os.SameFile(held, named), err
}
