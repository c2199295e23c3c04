package vsock

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Any is the CID that stands for all addresses of this machine.
const Any = unix.VMADDR_CID_ANY

// Addr is the address of a socket.
type Addr struct{ CID, Port uint32 }

// Network returns "vsock".
func (Addr) Network() string { return "vsock" }

// String returns both numbers.
func (a Addr) String() string { return fmt.Sprintf("%d:%d", a.CID, a.Port) }

// Conn is a connection. Its file does the work: descriptors of sockets are files, and
// the runtime waits for them in the same way.
type Conn struct {
	*os.File
	local, remote Addr
}

var _ net.Conn = (*Conn)(nil)

// LocalAddr is the address at this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the address at the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// Close ends both directions, also for who is waiting.
func (c *Conn) Close() error {
	// Whoever else had the descriptor, such as a child that is being forked, would
	// keep the connection alive.
	_ = c.shutdown(unix.SHUT_RDWR)
	return c.File.Close()
}

// CloseWrite ends the direction to the other end.
func (c *Conn) CloseWrite() error { return c.shutdown(unix.SHUT_WR) }

func (c *Conn) shutdown(how int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = raw.Control(func(fd uintptr) { failure = unix.Shutdown(int(fd), how) })
	return errors.Join(err, os.NewSyscallError("shutdown", failure))
}

// newSocket makes a socket. One that does not block is waited for by the runtime.
func newSocket(flags int) (int, error) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|flags, 0)
	return fd, os.NewSyscallError("socket", err)
}

// newConn takes a connected descriptor.
func newConn(fd int, remote Addr) (*Conn, error) {
	local, err := addrOf(fd)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &Conn{File: os.NewFile(uintptr(fd), "vsock"), local: local, remote: remote}, nil
}

func addrOf(fd int) (Addr, error) {
	own, err := unix.Getsockname(fd)
	if err != nil {
		return Addr{}, os.NewSyscallError("getsockname", err)
	}
	return fromSystem(own), nil
}

func fromSystem(a unix.Sockaddr) Addr {
	if vm, ok := a.(*unix.SockaddrVM); ok {
		return Addr{vm.CID, vm.Port}
	}
	return Addr{}
}

// Dial connects. It takes as long as the kernel waits for an answer, which is two
// seconds.
func Dial(to Addr) (*Conn, error) {
	for {
		fd, err := newSocket(0)
		if err != nil {
			return nil, err
		}
		err = unix.Connect(fd, &unix.SockaddrVM{CID: to.CID, Port: to.Port})
		if err == nil {
			return newConn(fd, to)
		}
		_ = unix.Close(fd)
		if !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("connect to %v: %w", to, err)
		}
	}
}
