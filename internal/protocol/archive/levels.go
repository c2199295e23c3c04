package archive

import (
	"archive/tar"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// level is an open folder on the way to the file that is unpacked.
type level struct {
	name    string
	fd      int
	created bool
	// header is what the folder is to become once nothing more is put into it, if
	// it was created.
	header *tar.Header
}

func (u *unpacker) top() *level { return &u.levels[len(u.levels)-1] }

func (l *level) want(h *tar.Header) {
	if l.created {
		l.header = h
	}
}

// enter opens the folders down to the one that parts name, and makes those that
// are missing. Those that are open already are kept.
func (u *unpacker) enter(parts []string) error {
	same := 0
	for same < len(parts) && same+1 < len(u.levels) && u.levels[same+1].name == parts[same] {
		same++
	}
	if err := u.leave(same + 1); err != nil {
		return err
	}
	for _, name := range parts[same:] {
		l := level{name: name}
		dir := u.top().fd
		var err error
		l.fd, err = openFolder(dir, name)
		if errors.Is(err, unix.ENOENT) {
			// Its mode is set when it is left: until then nobody else enters.
			if err = unix.Mkdirat(dir, name, 0o700); err == nil {
				l.created = true
				l.fd, err = openFolder(dir, name)
			}
		}
		if err != nil {
			return err
		}
		u.levels = append(u.levels, l)
	}
	return nil
}

// leave closes folders until n are left.
func (u *unpacker) leave(n int) error {
	var first error
	for len(u.levels) > n {
		l := u.top()
		u.levels = u.levels[:len(u.levels)-1]
		if l.created {
			if err := u.finish(l); first == nil {
				first = failed("unpack", l.name, err)
			}
		}
		_ = unix.Close(l.fd) // nothing was written through it
	}
	return first
}

// finish gives a folder that was made what it is to have.
func (u *unpacker) finish(l *level) error {
	h := l.header
	if h == nil { // the tar doesn't say
		h = &tar.Header{Typeflag: tar.TypeDir, Mode: 0o755, Uid: max(0, u.o.UID), Gid: max(0, u.o.GID)}
	}
	return u.describe(l.fd, h, false)
}

// open returns the folder that parts name, which is to be there.
func (u *unpacker) open(parts []string) (int, error) {
	fd, err := openFolder(u.levels[0].fd, ".")
	for _, name := range parts {
		if err != nil {
			return -1, err
		}
		above := fd
		fd, err = openFolder(above, name)
		_ = unix.Close(above)
	}
	return fd, err
}

func openFolder(dir int, name string) (fd int, err error) {
	err = again(func() error {
		fd, err = unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if errors.Is(err, unix.ELOOP) {
		err = unix.ENOTDIR
	}
	return fd, err
}

func timespec(t time.Time) unix.Timespec {
	ts, err := unix.TimeToTimespec(t)
	if err != nil || t.IsZero() {
		return unix.NsecToTimespec(0)
	}
	return ts
}
