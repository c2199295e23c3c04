package jail

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// newRoot is where the new root is mounted before it becomes the root: any folder
// that is surely there.
const newRoot = "/proc"

// maxLinks bounds the symbolic links in a path, as the kernel does.
const maxLinks = 40

// root is a root folder in the making.
type root struct{ fd int }

// enterRoot gives the process a root that holds the given files and folders, under
// their own paths, and nothing else. Files can only be read; devices can be used. It
// must be called in a new mount namespace.
func enterRoot(read, devices []string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	fd, err := newTmpfs()
	if err != nil {
		return fmt.Errorf("make a tmpfs: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, newRoot, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount the root: %w", err)
	}
	r := root{fd}
	for _, path := range read {
		if err := r.expose(path, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV); err != nil {
			return fmt.Errorf("show %s: %w", path, err)
		}
	}
	for _, path := range devices {
		if err := r.expose(path, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC); err != nil {
			return fmt.Errorf("show %s: %w", path, err)
		}
	}
	return r.pivot()
}

// newTmpfs returns a mount that is nowhere yet.
func newTmpfs() (int, error) {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	for key, value := range map[string]string{"mode": "0755", "size": "1m", "nr_inodes": "4096"} {
		if err := unix.FsconfigSetString(fs, key, value); err != nil {
			return -1, fmt.Errorf("%s=%s: %w", key, value, err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
}

// expose makes a path of the host visible under the new root, with the symbolic links
// on the way to it. What isn't there is left out.
func (r root) expose(path string, attributes uint64) error {
	for range maxLinks {
		link, target, err := firstLink(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if link == "" {
			return r.bind(path, attributes)
		}
		if err := r.symlink(link, target); err != nil {
			return err
		}
		rest := strings.TrimPrefix(path, link)
		if filepath.IsAbs(target) {
			path = filepath.Join(target, rest)
		} else {
			path = filepath.Join(filepath.Dir(link), target, rest)
		}
	}
	return unix.ELOOP
}

// firstLink returns the first symbolic link in a path and where it leads, or "".
func firstLink(path string) (link, target string, err error) {
	for at := 1; at <= len(path); at++ {
		if at < len(path) && path[at] != '/' {
			continue
		}
		info, err := os.Lstat(path[:at])
		if err != nil {
			return "", "", err
		}
		if info.Mode()&os.ModeSymlink != 0 {
			target, err := os.Readlink(path[:at])
			return path[:at], target, err
		}
	}
	return "", "", nil
}

func (r root) symlink(link, target string) error {
	if err := r.mkdirs(filepath.Dir(link)); err != nil {
		return err
	}
	err := unix.Symlinkat(target, r.fd, link[1:])
	if errors.Is(err, unix.EEXIST) {
		return nil // shown by an earlier path, from the same host
	}
	return err
}

// mkdirs makes a folder and those above it.
func (r root) mkdirs(dir string) error {
	for at := 1; at <= len(dir); at++ {
		if at < len(dir) && dir[at] != '/' || at == 1 {
			continue
		}
		if err := unix.Mkdirat(r.fd, dir[1:at], 0o755); err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.EROFS) {
			return err
		}
	}
	return nil
}

// bind mounts a file or folder of the host under the new root.
func (r root) bind(path string, attributes uint64) error {
	if path == "/" {
		return errors.New("the whole root is not to be shown")
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: attributes})
	if err != nil {
		return fmt.Errorf("set its mount's attributes: %w", err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(tree, &stat); err != nil {
		return err
	}
	if err := r.mkdirs(filepath.Dir(path)); err != nil {
		return err
	}
	var shown unix.Stat_t
	switch err := unix.Fstatat(r.fd, path[1:], &shown, unix.AT_SYMLINK_NOFOLLOW); {
	case err == nil && shown.Dev == stat.Dev && shown.Ino == stat.Ino:
		return nil // within what is shown already
	case err == nil:
	case stat.Mode&unix.S_IFMT == unix.S_IFDIR:
		err = unix.Mkdirat(r.fd, path[1:], 0o755)
		if err != nil {
			return err
		}
	default:
		fd, err := unix.Openat(r.fd, path[1:], unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o444)
		if err != nil {
			return err
		}
		_ = unix.Close(fd)
	}
	return unix.MoveMount(tree, "", r.fd, path[1:], unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// pivot makes the new root the root, read-only, and lets go of the old one.
func (r root) pivot() error {
	if err := unix.MountSetattr(r.fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return fmt.Errorf("make the root read-only: %w", err)
	}
	if err := unix.Fchdir(r.fd); err != nil {
		return err
	}
	// The old root lands on top of the new one, and is taken away there.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the old root: %w", err)
	}
	return unix.Chdir("/")
}
