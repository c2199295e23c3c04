package sockets

import (
	"context"
	"errors"
	"net"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func checkPath(name string) error {
	if !strings.HasPrefix(name, "/") || strings.ContainsRune(name, 0) || len(name) >= unix.PathMax {
		return invalid("use an absolute path in the box", "%.100q is not the path of a socket", name)
	}
	return nil
}

// itself is a path of an open file: another name for just that file.
func itself(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// dialUnix connects to a socket in the container's file system.
func dialUnix(ctx context.Context, root Root, name string) (net.Conn, error) {
	if err := checkPath(name); err != nil {
		return nil, err
	}
	fd, err := root.Open(name, unix.O_PATH, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, invalid("name a socket that a program in the box listens on", "%.100q is not a socket", name)
	}
	return new(net.Dialer).DialContext(ctx, "unix", itself(fd))
}

// unixListener listens on a socket in the container's file system, which it removes
// when it is closed.
type unixListener struct {
	net.Listener
	dir  int // the socket is in
	name string
	stat unix.Stat_t
}

func listenUnix(root Root, name string) (net.Listener, error) {
	if err := checkPath(name); err != nil {
		return nil, err
	}
	uid, gid, err := root.Owner()
	if err != nil {
		return nil, err
	}
	above, base := path.Split(strings.TrimRight(name, "/"))
	if base == "" || base == "." || base == ".." {
		return nil, invalid("name a socket to be made", "%.100q is a folder", name)
	}
	dir, err := root.Open(above, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	l := &unixListener{dir: dir, name: base}
	if err := l.listen(int(uid), int(gid)); err != nil {
		_ = unix.Close(dir)
		return nil, err
	}
	return l, nil
}

// listen makes the socket. By its mode, only its owner may connect, which is set
// before anyone can.
func (l *unixListener) listen(uid, gid int) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), l.name)
	defer file.Close() // net has its own
	if err := l.bind(fd); err != nil {
		return err
	}
	if err := l.own(uid, gid); err != nil {
		l.remove()
		return err
	}
	if err := unix.Listen(fd, unix.SOMAXCONN); err != nil {
		l.remove()
		return os.NewSyscallError("listen", err)
	}
	if l.Listener, err = net.FileListener(file); err != nil {
		l.remove()
		return err
	}
	return nil
}

// bind gives the socket its name. One that nobody listens on any more is replaced.
func (l *unixListener) bind(fd int) error {
	address := &unix.SockaddrUnix{Name: itself(l.dir) + "/" + l.name}
	err := unix.Bind(fd, address)
	if errors.Is(err, unix.EADDRINUSE) && l.isStale() {
		if err := unix.Unlinkat(l.dir, l.name, 0); err != nil {
			return os.NewSyscallError("unlink", err)
		}
		err = unix.Bind(fd, address)
	}
	if errors.Is(err, unix.EINVAL) {
		return invalid("use a shorter one", "a socket can't have the name %.100q", l.name)
	}
	if err != nil {
		return os.NewSyscallError("bind", err)
	}
	return nil
}

// isStale reports whether what has the name is a socket that nobody listens on.
func (l *unixListener) isStale() bool {
	fd, err := l.look()
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	conn, err := net.Dial("unix", itself(fd))
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, unix.ECONNREFUSED)
}

// look opens the socket of that name, without any effect on it. A link is none.
func (l *unixListener) look() (int, error) {
	fd, err := unix.Openat(l.dir, l.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("openat", err)
	}
	if err = unix.Fstat(fd, &l.stat); err == nil && l.stat.Mode&unix.S_IFMT != unix.S_IFSOCK {
		err = errors.New("it is not a socket")
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// own gives the socket to a user, and nobody else.
func (l *unixListener) own(uid, gid int) error {
	fd, err := l.look()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Chmod(itself(fd), 0o600); err != nil {
		return os.NewSyscallError("chmod", err)
	}
	return os.NewSyscallError("chown", unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH))
}

// remove removes the socket, unless something else has its name by now.
func (l *unixListener) remove() {
	var now unix.Stat_t
	err := unix.Fstatat(l.dir, l.name, &now, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && now.Dev == l.stat.Dev && now.Ino == l.stat.Ino {
		_ = unix.Unlinkat(l.dir, l.name, 0) // a folder that can't be written keeps it
	}
}

func (l *unixListener) Close() error {
	err := l.Listener.Close()
	l.remove()
	_ = unix.Close(l.dir)
	return err
}
