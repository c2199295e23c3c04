package files

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol/archive"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// Change changes names and attributes.
func (s *Service) Change(ctx context.Context, r *boxlitev1.FileChangeRequest) (*boxlitev1.FileChangeResponse, error) {
	var err error
	if _, ok := r.GetKind().(*boxlitev1.FileChangeRequest_RemoveAll); ok {
		// A tree may be large, and the container may add to it all the time.
		err = s.copy(ctx, func(ctx context.Context, root Root) error { return removeTree(ctx, root, string(r.GetPath())) })
	} else {
		err = s.call(func(root Root) error { return change(root, r) })
	}
	if err != nil {
		return nil, err
	}
	return &boxlitev1.FileChangeResponse{}, nil
}

func change(root Root, r *boxlitev1.FileChangeRequest) error {
	name := string(r.GetPath())
	switch kind := r.GetKind().(type) {
	case *boxlitev1.FileChangeRequest_Mkdir:
		return inParent(root, name, func(dir int, base string) error { return makeFolder(root, dir, base, kind.Mkdir) })
	case *boxlitev1.FileChangeRequest_MkdirAll:
		return makeFolders(root, name, kind.MkdirAll)
	case *boxlitev1.FileChangeRequest_Remove:
		return inParent(root, name, remove)
	case *boxlitev1.FileChangeRequest_Rename:
		return inParent(root, name, func(dir int, base string) error {
			return inParent(root, string(kind.Rename), func(toDir int, toBase string) error {
				if archive.IsMount(dir, base) || archive.IsMount(toDir, toBase) {
					return unix.EBUSY
				}
				return unix.Renameat(dir, base, toDir, toBase)
			})
		})
	case *boxlitev1.FileChangeRequest_Link:
		return inParent(root, string(kind.Link), func(dir int, base string) error {
			return inParent(root, name, func(toDir int, toBase string) error {
				return unix.Linkat(dir, base, toDir, toBase, 0)
			})
		})
	case *boxlitev1.FileChangeRequest_Symlink:
		uid, gid, err := root.Owner()
		if err != nil {
			return err
		}
		return inParent(root, name, func(dir int, base string) error {
			if err := unix.Symlinkat(string(kind.Symlink), dir, base); err != nil || uid == 0 && gid == 0 {
				return err
			}
			return unix.Fchownat(dir, base, int(uid), int(gid), unix.AT_SYMLINK_NOFOLLOW)
		})
	case *boxlitev1.FileChangeRequest_Truncate:
		fd, err := openRegular(root, name, unix.O_WRONLY)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Ftruncate(fd, int64(min(kind.Truncate, 1<<63-1)))
	}
	return changeAttributes(root, r)
}

// removeTree removes a file, or a folder with all that is in it. One that isn't there
// is no error.
func removeTree(ctx context.Context, root Root, name string) error {
	err := inParent(root, name, func(dir int, base string) error { return removeAll(ctx, dir, base, 0) })
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

func changeAttributes(root Root, r *boxlitev1.FileChangeRequest) error {
	flags := 0
	if r.GetNoFollow() {
		flags = unix.O_NOFOLLOW
	}
	fd, err := look(root, string(r.GetPath()), flags)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	switch kind := r.GetKind().(type) {
	case *boxlitev1.FileChangeRequest_Chmod:
		return unix.Chmod(itself(fd), kind.Chmod&0o7777)
	case *boxlitev1.FileChangeRequest_Chown:
		return unix.Fchownat(fd, "", int(kind.Chown.GetUid()), int(kind.Chown.GetGid()), unix.AT_EMPTY_PATH)
	case *boxlitev1.FileChangeRequest_Chtimes:
		times := []unix.Timespec{timeOf(kind.Chtimes.GetAccessed()), timeOf(kind.Chtimes.GetModified())}
		return unix.UtimesNanoAt(fd, "", times, unix.AT_EMPTY_PATH)
	}
	return unix.EINVAL
}

func timeOf(t *boxlitev1.FileTime) unix.Timespec {
	const omit = 1<<30 - 2 // UTIME_OMIT
	if t == nil {
		return unix.Timespec{Nsec: omit}
	}
	return unix.Timespec{Sec: t.GetSeconds(), Nsec: int64(min(t.GetNanos(), 1e9-1))}
}

// inParent does something with a name in its folder.
func inParent(root Root, name string, do func(dir int, base string) error) error {
	dir, base, err := parent(root, name)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return do(dir, base)
}

// makeFolder makes a folder that belongs to the container's user.
func makeFolder(root Root, dir int, base string, mode uint32) error {
	uid, gid, err := root.Owner()
	if err != nil {
		return err
	}
	if err := unix.Mkdirat(dir, base, mode&0o7777); err != nil || uid == 0 && gid == 0 {
		return err
	}
	fd, err := unix.Openat(dir, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fchown(fd, int(uid), int(gid))
}

// makeFolders makes a folder and those above it that are missing.
func makeFolders(root Root, name string, mode uint32) error {
	if err := checkPath(name); err != nil {
		return err
	}
	name = path.Clean(name)
	for at := 1; at < len(name); {
		next := strings.IndexByte(name[at:], '/')
		if next < 0 {
			next = len(name) - at
		}
		prefix := name[:at+next]
		at += next + 1
		err := inParent(root, prefix, func(dir int, base string) error { return makeFolder(root, dir, base, mode) })
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	fd, err := look(root, name, unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// remove removes a file or an empty folder. The mounts are not of the agent's
// namespace, so the kernel would remove what they are on.
func remove(dir int, base string) error {
	if archive.IsMount(dir, base) {
		return unix.EBUSY
	}
	err := unix.Unlinkat(dir, base, 0)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) {
		if e := unix.Unlinkat(dir, base, unix.AT_REMOVEDIR); !errors.Is(e, unix.ENOTDIR) {
			return e
		}
	}
	return err
}

// maxDepth is how deep a tree may be that is removed.
const maxDepth = 256

// removeAll removes a file, or a folder with all that is in it.
func removeAll(ctx context.Context, dir int, base string, depth int) error {
	err := remove(dir, base)
	if !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
		return err
	}
	if depth == maxDepth {
		return unix.ENAMETOOLONG
	}
	fd, err := unix.Openat(dir, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	folder := os.NewFile(uintptr(fd), base)
	defer folder.Close()
	// A folder whose files are removed while it is read may skip some.
	const attempts = 8
	for range attempts {
		if err := removeIn(ctx, folder, depth+1); err != nil {
			return err
		}
		if archive.IsMount(dir, base) {
			return unix.EBUSY
		}
		if err = unix.Unlinkat(dir, base, unix.AT_REMOVEDIR); !errors.Is(err, unix.ENOTEMPTY) {
			return err
		}
		if _, err := folder.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	return err
}

// removeIn removes what is in a folder.
func removeIn(ctx context.Context, folder *os.File, depth int) error {
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		names, err := folder.Readdirnames(listBatch)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := removeAll(ctx, int(folder.Fd()), name, depth); err != nil && !errors.Is(err, unix.ENOENT) {
				return err
			}
		}
	}
}
