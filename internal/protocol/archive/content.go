package archive

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// makeFile writes a regular file under a temporary name, and gives it its own
// when all is there.
func (u *unpacker) makeFile(h *tar.Header, name string) error {
	dir := u.top().fd
	var fd int
	err := again(func() (err error) {
		fd, err = unix.Openat(dir, u.temporary, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC,
			uint32(h.Mode)&0o777)
		return err
	})
	if err != nil {
		return err
	}
	err = u.fill(fd, h)
	if err == nil {
		err = u.describe(fd, h, true)
	}
	if e := unix.Close(fd); err == nil {
		err = e
	}
	if err == nil {
		err = u.settle(name)
	}
	if err != nil {
		_ = unix.Unlinkat(dir, u.temporary, 0) // it is gone if it has its name
	}
	return err
}

// settle gives what is complete its own name.
func (u *unpacker) settle(name string) error {
	dir := u.top().fd
	err := renameNew(dir, u.temporary, name)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.ENOSYS):
		return err
	case u.o.NoOverwrite && errors.Is(err, unix.EEXIST):
		return err
	case u.o.NoOverwrite: // the file system can't
		if err := unix.Linkat(dir, u.temporary, dir, name, 0); err != nil {
			return err
		}
		return unix.Unlinkat(dir, u.temporary, 0)
	case IsMount(dir, name):
		// In another mount namespace, the kernel would let go of the mount.
		return unix.EBUSY
	}
	return unix.Renameat(dir, u.temporary, dir, name)
}

// fill writes the content of a file. Zeros of a sparse file become holes.
func (u *unpacker) fill(fd int, h *tar.Header) error {
	sparse := isSparse(h)
	if sparse {
		if err := unix.Ftruncate(fd, h.Size); err != nil {
			return err
		}
	}
	for at := int64(0); at < h.Size; {
		if err := context.Cause(u.ctx); err != nil {
			return err
		}
		n, err := io.ReadFull(u.tar, u.buf[:min(copyBuffer, h.Size-at)])
		if err != nil {
			return unexpected(err)
		}
		if p := u.buf[:n]; !sparse || !isZero(p) {
			if err := writeAt(fd, p, at, sparse); err != nil {
				return err
			}
			u.done.Bytes += int64(n)
		}
		if u.o.Progress != nil {
			u.o.Progress(u.done.Bytes)
		}
		at += int64(n)
	}
	return nil
}

// unexpected is the error of reading something that should have been there.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func writeAt(fd int, p []byte, at int64, seek bool) error {
	for len(p) > 0 {
		var n int
		err := again(func() (err error) {
			if seek {
				n, err = unix.Pwrite(fd, p, at)
			} else {
				n, err = unix.Write(fd, p)
			}
			return err
		})
		if err != nil {
			return err
		}
		p, at = p[n:], at+int64(n)
	}
	return nil
}

// isSparse reports whether a file was marked as sparse by whoever packed it.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// describe gives an open file or folder its owner, mode, attributes and times.
func (u *unpacker) describe(fd int, h *tar.Header, exists bool) error {
	uid, gid, err := u.owner(h)
	if err == nil && (uid >= 0 || gid >= 0) {
		err = unix.Fchown(fd, uid, gid)
	}
	if err != nil {
		return err
	}
	mode := uint32(h.Mode) & 0o7777
	if !u.keepsPrivileges() && h.Typeflag != tar.TypeDir {
		mode &^= unix.S_ISUID | unix.S_ISGID
	}
	// A new file has its mode already, but for what the umask took.
	if !exists || mode&^0o777 != 0 || mode&u.o.Umask != 0 {
		if err := unix.Fchmod(fd, mode); err != nil {
			return err
		}
	}
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, "SCHILY.xattr.")
		if !ok || !carried(name) || name == capability && !u.keepsPrivileges() {
			continue
		}
		if err := setXattr(fd, name, value); err != nil {
			return err
		}
	}
	if h.ModTime.IsZero() {
		return nil
	}
	return setTimes(fd, timespec(h.ModTime))
}

// keepsPrivileges reports whether files keep what gives their users more rights.
func (u *unpacker) keepsPrivileges() bool { return u.o.Archive || u.o.SetID }

// describeLink gives a link, device or FIFO its owner and time.
func (u *unpacker) describeLink(dir int, name string, h *tar.Header) error {
	uid, gid, err := u.owner(h)
	if err == nil && (uid >= 0 || gid >= 0) {
		err = unix.Fchownat(dir, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return err
	}
	if h.ModTime.IsZero() {
		return nil
	}
	ts := timespec(h.ModTime)
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}

// owner returns whom a file is to belong to; -1 for whom it does.
func (u *unpacker) owner(h *tar.Header) (uid, gid int, err error) {
	if !u.o.Archive {
		return u.o.UID, u.o.GID, nil
	}
	const most = 1<<32 - 2
	if h.Uid < 0 || h.Gid < 0 || h.Uid > most || h.Gid > most {
		return 0, 0, unix.EOVERFLOW
	}
	return h.Uid, h.Gid, nil
}
