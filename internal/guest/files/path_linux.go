package files

import (
	"errors"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// checkPath accepts absolute paths that the kernel can take.
func checkPath(name string) error {
	switch {
	case !strings.HasPrefix(name, "/"), strings.ContainsRune(name, 0):
		return unix.EINVAL
	case len(name) >= unix.PathMax:
		return unix.ENAMETOOLONG
	}
	return nil
}

// look opens a file without any effect on it, and without leave to read it.
func look(root Root, name string, flags int) (int, error) {
	if err := checkPath(name); err != nil {
		return -1, err
	}
	return root.Open(name, unix.O_PATH|flags, 0)
}

// parent opens the folder that a file is in, and returns the file's name in it.
func parent(root Root, name string) (dir int, base string, err error) {
	if err := checkPath(name); err != nil {
		return -1, "", err
	}
	above, base := path.Split(strings.TrimRight(name, "/"))
	if base == "" || base == "." || base == ".." {
		return -1, "", unix.EINVAL
	}
	dir, err = root.Open(above, unix.O_PATH|unix.O_DIRECTORY, 0)
	return dir, base, err
}

// itself is a path of an open file: another name for just that file.
func itself(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// openRegular opens a file for reading or writing if it is regular: to open
// another could block, or have an effect.
func openRegular(root Root, name string, flags int) (int, error) {
	p, err := look(root, name, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(p)
	var stat unix.Stat_t
	if err := unix.Fstat(p, &stat); err != nil {
		return -1, err
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return unix.Open(itself(p), flags|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	case unix.S_IFDIR:
		return -1, unix.EISDIR
	}
	return -1, &protocol.Error{
		Kind: protocol.KindUnsupported, Err: errors.New("it is a device, a FIFO or a socket"),
		Hint: "run a command in the box that opens it",
	}
}

// openFolder opens a folder for reading.
func openFolder(root Root, name string) (*os.File, error) {
	if err := checkPath(name); err != nil {
		return nil, err
	}
	fd, err := root.Open(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// resolved returns the path of an open file in the container.
func resolved(root Root, fd int) (string, error) {
	top, err := root.Open("/", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(top)
	prefix, err := os.Readlink(itself(top))
	if err != nil {
		return "", err
	}
	full, err := os.Readlink(itself(fd))
	if err != nil {
		return "", err
	}
	return path.Join("/", strings.TrimPrefix(full, prefix)), nil
}

func infoOf(name string, s *unix.Stat_t) *boxlitev1.FileInfo {
	return &boxlitev1.FileInfo{
		Name: []byte(name), Mode: s.Mode, Size: s.Size, ModifiedSeconds: s.Mtim.Sec, ModifiedNanos: uint32(s.Mtim.Nsec),
		Uid: s.Uid, Gid: s.Gid, Inode: s.Ino, Links: uint64(s.Nlink), Device: s.Rdev,
	}
}
