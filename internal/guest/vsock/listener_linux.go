package vsock

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// backlog is how many connections may wait to be accepted.
const backlog = 1024

// Listener accepts connections from one CID.
type Listener struct {
	file   *os.File
	local  Addr
	peer   uint32
	closed atomic.Bool
}

var _ net.Listener = (*Listener)(nil)

// Listen listens on a port of this machine, for connections from the CID peer.
func Listen(at Addr, peer uint32) (*Listener, error) {
	fd, err := newSocket(unix.SOCK_NONBLOCK)
	if err != nil {
		return nil, err
	}
	if err = unix.Bind(fd, &unix.SockaddrVM{CID: at.CID, Port: at.Port}); err == nil {
		err = unix.Listen(fd, backlog)
	}
	local, addrErr := addrOf(fd)
	if err = cmp.Or(err, addrErr); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("listen on %v: %w", at, err)
	}
	return &Listener{file: os.NewFile(uintptr(fd), "vsock"), local: local, peer: peer}, nil
}

// Accept waits for the next connection from the peer. Others are closed.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		fd, from, err := l.accept()
		if err != nil && l.closed.Load() {
			return nil, net.ErrClosed
		}
		if err != nil {
			return nil, err
		}
		if from.CID != l.peer {
			_ = unix.Close(fd)
			continue
		}
		return newConn(fd, from)
	}
}

// accept waits for the next connection, from wherever.
func (l *Listener) accept() (fd int, from Addr, err error) {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return -1, Addr{}, err
	}
	var failure error
	err = raw.Read(func(listening uintptr) bool {
		for {
			var peer unix.Sockaddr
			fd, peer, failure = unix.Accept4(int(listening), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			switch failure {
			case nil:
				from = fromSystem(peer)
				return true
			case unix.EAGAIN:
				return false
			case unix.EINTR, unix.ECONNABORTED, unix.ECONNRESET:
			default:
				return true
			}
		}
	})
	return fd, from, cmp.Or(err, os.NewSyscallError("accept", failure))
}

// Close ends listening. Connections already accepted live on.
func (l *Listener) Close() error {
	l.closed.Store(true)
	return l.file.Close()
}

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.local }
