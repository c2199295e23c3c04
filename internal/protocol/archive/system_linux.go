package archive

import (
	"errors"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	seekData = unix.SEEK_DATA
	seekHole = unix.SEEK_HOLE
)

// openEntry opens the file name in dir for reading if it is regular or a folder.
// For all others, which are only looked at, fd is -1. It never opens a device or
// FIFO, even if one takes the place of a file.
func openEntry(dir int, name string) (fd int, stat unix.Stat_t, err error) {
	var path int
	err = again(func() error {
		path, err = unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return -1, stat, err
	}
	defer unix.Close(path)
	if err := unix.Fstat(path, &stat); err != nil {
		return -1, stat, err
	}
	flags := unix.O_RDONLY | unix.O_CLOEXEC
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		flags |= unix.O_DIRECTORY
	default:
		return -1, stat, nil
	}
	err = again(func() error {
		fd, err = unix.Open("/proc/self/fd/"+strconv.Itoa(path), flags, 0)
		return err
	})
	return fd, stat, err
}

// carried reports whether an extended attribute is copied. Others belong to the
// file system that the file is on.
func carried(name string) bool {
	return strings.HasPrefix(name, "user.") || name == capability
}

// capability is the attribute that gives a program rights that its user hasn't.
const capability = "security.capability"

// maxXattrs is how many bytes of names and values a file may have.
const maxXattrs = 512 << 10

// listXattrs returns the attributes of an open file.
func listXattrs(fd int) ([]xattr, error) {
	var small [256]byte
	names := small[:]
	n, err := unix.Flistxattr(fd, names)
	if errors.Is(err, unix.ERANGE) {
		names = make([]byte, 64<<10)
		n, err = unix.Flistxattr(fd, names)
	}
	if errors.Is(err, unix.ENOTSUP) || err == nil && n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []xattr
	var total int
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00") {
		if !carried(name) {
			continue
		}
		value := make([]byte, 64<<10) // the most there can be
		n, err := unix.Fgetxattr(fd, name, value)
		if errors.Is(err, unix.ENODATA) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		if total += len(name) + n; total > maxXattrs {
			return nil, unix.E2BIG
		}
		list = append(list, xattr{name, append([]byte(nil), value[:n]...)})
	}
	return list, nil
}

// setXattr sets an attribute of an open file. A file system that has none loses
// it, as with cp and tar.
func setXattr(fd int, name, value string) error {
	err := unix.Fsetxattr(fd, name, []byte(value), 0)
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}

// makeNode makes a device or FIFO with exactly this mode.
func makeNode(dir int, name string, mode uint32, device uint64) error {
	if err := unix.Mknodat(dir, name, mode, int(device)); err != nil {
		return err
	}
	// The umask has changed the mode. A name is not good enough to change it back:
	// another may have put a link there.
	path, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(path)
	var stat unix.Stat_t
	if err := unix.Fstat(path, &stat); err != nil {
		return err
	}
	if stat.Mode&unix.S_IFMT != mode&unix.S_IFMT {
		return unix.EEXIST
	}
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(path), mode&0o7777)
}

func makeDevice(major, minor int64) uint64 { return unix.Mkdev(uint32(major), uint32(minor)) }

// setTimes sets the times of an open file.
func setTimes(fd int, modified unix.Timespec) error {
	times := [2]unix.Timespec{modified, modified}
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// renameNew renames a file, unless the new name is taken.
func renameNew(dir int, from, to string) error {
	return unix.Renameat2(dir, from, dir, to, unix.RENAME_NOREPLACE)
}

// IsMount reports whether something is mounted on a file in dir, an open folder.
// In the caller's mount namespace the kernel protects these from being removed or
// replaced, but in others it doesn't.
func IsMount(dir int, name string) bool {
	fd, err := unix.Openat2(dir, name, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_XDEV,
	})
	if err == nil {
		_ = unix.Close(fd)
	}
	return errors.Is(err, unix.EXDEV)
}
