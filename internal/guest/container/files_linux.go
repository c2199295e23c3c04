package container

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// ownFile is a file of the container that is mounted over the image's, which stays
// unchanged below. Without content, the image's stays visible.
type ownFile struct {
	target   string
	content  []byte
	readOnly bool
}

// mountFiles mounts the container's own files. They live in a tmpfs of which
// nothing else is visible.
func mountFiles(files []ownFile) error {
	const stage = "/dev/shm"
	if err := unix.Mount("etc", stage, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755,size=16m"); err != nil {
		return internal("mount the container's own files", err)
	}
	defer func() { _ = unix.Unmount(stage, unix.MNT_DETACH) }()
	for i, f := range files {
		if f.content == nil {
			continue
		}
		source := filepath.Join(stage, strconv.Itoa(i))
		if err := os.WriteFile(source, f.content, 0o644); err != nil {
			return internal("write "+f.target, err)
		}
		if err := mountFile(source, f.target, f.readOnly); err != nil {
			return &protocol.Error{
				Kind: protocol.KindImage, Op: "mount " + f.target, Err: err,
				Hint: "the image must have an ordinary file there, or nothing",
			}
		}
	}
	return nil
}

// mountFile mounts one file over another, which is made if it is missing. The
// target may be a symbolic link, even to a file that doesn't exist, but not to
// another file system such as /proc.
func mountFile(source, target string, readOnly bool) error {
	fd, err := openTarget(target)
	if errors.Is(err, unix.ENOENT) {
		if err := makeFile(target); err != nil {
			return err
		}
		fd, err = openTarget(target)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	tree, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("open_tree", err)
	}
	defer unix.Close(tree)
	if readOnly {
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
			return os.NewSyscallError("mount_setattr", err)
		}
	}
	err = unix.MoveMount(tree, "", fd, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	return os.NewSyscallError("move_mount", err)
}

func openTarget(path string) (int, error) {
	return openat2(unix.AT_FDCWD, path, unix.O_PATH, unix.RESOLVE_NO_XDEV|unix.RESOLVE_NO_MAGICLINKS)
}

// makeFile makes an empty file, or the one that a dangling link points to.
func makeFile(path string) error {
	if link, err := os.Readlink(path); err == nil {
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(path), link)
		}
		path = filepath.Join("/", link)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}
