package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/boxlite-go/boxlite/internal/assets"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

const (
	// MinBytes is the smallest size of a disk: that of the empty file system
	// before it is grown.
	MinBytes = assets.MinDiskSize
	// MaxBytes is the largest size of a disk: more than that, ext4 and the host's
	// file systems don't all support.
	MaxBytes = 16<<40 - 4096
)

// Create makes a disk of sizeBytes at path, which must not exist. It holds an
// empty ext4 file system, which the guest grows to sizeBytes if it is smaller, and
// takes at most 300 KB of the host's space. It is complete and durable, or not there.
func Create(path string, sizeBytes int64) error {
	if err := create(path, sizeBytes); err != nil {
		return createError(path, err)
	}
	return nil
}

func create(path string, sizeBytes int64) error {
	if sizeBytes < MinBytes || sizeBytes > MaxBytes {
		return &protocol.Error{
			Kind: protocol.KindInvalidArgument,
			Hint: "a box's disk has 64 MiB to 16 TiB",
			Err:  fmt.Errorf("a disk can't have %d bytes", sizeBytes),
		}
	}
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	fresh := path + ".new"
	file, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(fresh)
	defer file.Close()
	if err := assets.WriteEmptyDisk(file, sizeBytes); err != nil {
		return err
	}
	if err := file.Truncate(sizeBytes); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func createError(path string, err error) error {
	failure := &protocol.Error{Kind: protocol.KindStorage, Op: "create disk " + path, Err: err}
	var known *protocol.Error
	switch {
	case errors.As(err, &known):
		failure.Kind = known.Kind
	case errors.Is(err, fs.ErrExist):
		failure.Kind = protocol.KindAlreadyExists
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		failure.Kind = protocol.KindResourceExhausted
		failure.Hint = "free some space where the home is, or set BOXLITE_HOME to a folder with more space"
	case errors.Is(err, syscall.EFBIG):
		failure.Kind = protocol.KindResourceExhausted
		failure.Hint = "the host's file system or file size limit (ulimit -f) does not allow such a large disk: ask for a smaller one"
	}
	return failure
}
