//go:build !linux

package shim

import (
	"os"
	"path/filepath"
)

// withShortPath calls do with a path of dir/name that fits into a socket
// address (104 bytes), however long dir is: through a symbolic link to dir in
// the folder for temporary files.
func withShortPath(dir, name string, do func(path string) error) error {
	short, err := os.MkdirTemp("", "bl")
	if err != nil {
		return err
	}
	defer os.RemoveAll(short)
	link := filepath.Join(short, "b")
	if err := os.Symlink(dir, link); err != nil {
		return err
	}
	return do(filepath.Join(link, filepath.Base(name)))
}
