package shim

import (
	"fmt"
	"os"
	"path/filepath"
)

// withShortPath calls do with a path of dir/name that fits into a socket
// address (108 bytes), however long dir is: through an open descriptor of dir.
func withShortPath(dir, name string, do func(path string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return do(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), filepath.Base(name)))
}
