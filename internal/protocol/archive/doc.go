// Package archive packs files as tar and unpacks tar into files, on both ends of
// a copy between host and box.
//
// Neither end trusts the other, nor the files that it works on. All is done
// relative to open folders and without following links, so that nothing leads
// out of the folder that is packed or unpacked into, even if somebody changes it
// at that time. Memory is bounded, whatever the tar or the tree.
//
// Tars are in PAX format, with times to the nanosecond, extended attributes
// (SCHILY.xattr), and sparse files as GNU tar's format 1.0.
package archive

import (
	"errors"
	"io/fs"
	"syscall"
)

// maxDepth is how deep a tree may be: each level takes a descriptor.
const maxDepth = 256

// Errors about trees that are not copied.
var (
	errTooDeep = errors.New("it is more than 256 folders deep")
	// ErrOutside means that an archive names something outside of where it is
	// unpacked.
	ErrOutside = errors.New("it leads out of the folder that is unpacked into")
	// ErrSpecial means that an archive has a device or FIFO, which are made on
	// request only.
	ErrSpecial = errors.New("it is a device or FIFO")
	errShrunk  = errors.New("it became shorter while it was copied")
)

func failed(op, path string, err error) error {
	if err == nil {
		return nil
	}
	if path == "" {
		path = "."
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// again calls do until it is not interrupted by a signal.
func again(do func() error) error {
	for {
		if err := do(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
