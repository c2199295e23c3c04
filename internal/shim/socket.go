package shim

import (
	"net"
	"os"
	"path/filepath"
)

// listenUnix listens on a socket that only its owner can use. The caller closes
// it, and removes the file.
func listenUnix(dir, name string) (l *net.UnixListener, err error) {
	_ = os.Remove(filepath.Join(dir, name)) // left by a shim that was killed
	err = withShortPath(dir, name, func(path string) error {
		if l, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}); err != nil {
			return err
		}
		l.SetUnlinkOnClose(false)
		return os.Chmod(path, 0o600)
	})
	return l, err
}

// dialUnix connects to a socket.
func dialUnix(dir, name string) (conn *net.UnixConn, err error) {
	err = withShortPath(dir, name, func(path string) error {
		conn, err = net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		return err
	})
	return conn, err
}
