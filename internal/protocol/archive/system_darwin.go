package archive

import (
	"errors"

	"golang.org/x/sys/unix"
)

const (
	seekHole = 3
	seekData = 4
)

// openEntry opens the file name in dir for reading if it is regular or a folder.
// For all others, which are only looked at, fd is -1.
func openEntry(dir int, name string) (fd int, stat unix.Stat_t, err error) {
	if err := unix.Fstatat(dir, name, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return -1, stat, err
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR:
	default:
		return -1, stat, nil
	}
	kind := stat.Mode & unix.S_IFMT
	err = again(func() error {
		fd, err = unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return -1, stat, err
	}
	if err := unix.Fstat(fd, &stat); err != nil || stat.Mode&unix.S_IFMT != kind {
		_ = unix.Close(fd)
		return -1, stat, errors.Join(err, unix.EAGAIN) // it was replaced
	}
	return fd, stat, nil
}

const capability = "security.capability"

// Attributes have other names on macOS, and other meanings: none is copied.
func carried(string) bool { return false }

func listXattrs(int) ([]xattr, error) { return nil, nil }

func setXattr(int, string, string) error { return nil }

func makeNode(int, string, uint32, uint64) error { return unix.ENOTSUP }

func makeDevice(major, minor int64) uint64 { return unix.Mkdev(uint32(major), uint32(minor)) }

// setTimes sets the times of an open file, to the microsecond.
func setTimes(fd int, modified unix.Timespec) error {
	tv := unix.NsecToTimeval(modified.Nano())
	return unix.Futimes(fd, []unix.Timeval{tv, tv})
}

// renameNew renames a file, unless the new name is taken.
func renameNew(dir int, from, to string) error {
	return unix.RenameatxNp(dir, from, dir, to, unix.RENAME_EXCL)
}

// IsMount reports whether something is mounted on a file: the kernel looks itself.
func IsMount(int, string) bool { return false }
