package assets

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// bootFile is a file to unpack.
type bootFile struct {
	name  string
	size  int64
	write func(io.Writer) error
}

// isWhole reports whether the file has its size. It was renamed into its place
// after it had reached the disk, so more can't be wrong unless someone wrote to it.
func (f bootFile) isWhole(folder string) bool {
	info, err := os.Lstat(filepath.Join(folder, f.name))
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&modeBoot == modeBoot && info.Size() == f.size
}

// modeBoot lets others read what is no secret: the virtual machine runs as a user of
// its own where it can. The folder is closed to all but those who are led into it.
const modeBoot = 0o444

// create writes the file beside its place and moves it there. The caller holds
// the lock.
func (f bootFile) create(folder string) error {
	path := filepath.Join(folder, f.name)
	fresh := path + ".new"
	if err := errors.Join(os.RemoveAll(fresh), removeIfDir(path)); err != nil {
		return err
	}
	defer os.Remove(fresh)
	file, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, modeBoot)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := f.write(file); err != nil {
		return err
	}
	if err := file.Chmod(modeBoot); err != nil {
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
	return syncDir(folder)
}

// removeIfDir makes room for a file that is to be renamed to path.
func removeIfDir(path string) error {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return nil
	}
	return os.RemoveAll(path)
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
