// Package durable replaces files so that a crash, at whatever instant, leaves the
// old content or the new.
package durable

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Suffix is what the name of a file has while it is written. One that is left was
// being written by a process that was killed.
const Suffix = ".new"

// Replace puts data in the place of the file at path, for its owner only, and
// returns when it is on disk. Callers see to it that there is one at a time.
//
// What else stands in the file's place is removed: a folder there is damage.
func Replace(path string, data []byte) error {
	fresh := path + Suffix
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = Rename(fresh, path)
	}
	if err != nil {
		_ = os.Remove(fresh)
	}
	return err
}

// Rename gives a file that is complete and synced its name, durably.
func Rename(fresh, path string) error {
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// IsFull reports whether err says that there is no space left, for anyone or for
// this user.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// HintFull says what to do then.
const HintFull = "free space on the disk that holds BoxLite's home"
