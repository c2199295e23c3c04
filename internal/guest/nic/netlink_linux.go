package nic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// conn is a netlink socket.
type conn struct {
	fd       int
	sequence uint32
}

func dial() (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return &conn{fd: fd}, nil
}

func (c *conn) close() { _ = unix.Close(c.fd) }

// do sends a request and waits for the kernel's word that it is done.
func (c *conn) do(m *message) error {
	c.sequence++
	request := m.bytes(c.sequence)
	if err := unix.Sendto(c.fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("send", err)
	}
	buf := make([]byte, os.Getpagesize()) // more than an answer with a copy of the request
	for {
		n, from, err := unix.Recvfrom(c.fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("receive", err)
		}
		if kernel, ok := from.(*unix.SockaddrNetlink); !ok || kernel.Pid != 0 {
			continue // anyone may write to the socket
		}
		done, err := answer(buf[:n], c.sequence)
		if done || err != nil {
			return err
		}
	}
}

// answer looks for the kernel's answer to a request: an error number, or 0.
func answer(b []byte, sequence uint32) (done bool, err error) {
	messages, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return false, fmt.Errorf("the kernel's answer: %w", err)
	}
	for _, m := range messages {
		if m.Header.Seq != sequence || m.Header.Type != unix.NLMSG_ERROR {
			continue
		}
		if len(m.Data) < 4 {
			return false, errors.New("the kernel's answer is too short")
		}
		if errno := -int32(binary.NativeEndian.Uint32(m.Data)); errno != 0 {
			return true, syscall.Errno(errno)
		}
		return true, nil
	}
	return false, nil
}

// message is a netlink request: a header, a fixed part, and attributes.
type message struct {
	kind, flags uint16
	body        []byte
}

// newMessage begins a request with its fixed part.
func newMessage(kind, flags uint16, fixed []byte) *message {
	m := &message{kind: kind, flags: unix.NLM_F_REQUEST | unix.NLM_F_ACK | flags, body: fixed}
	m.align()
	return m
}

func (m *message) align() {
	for len(m.body)%unix.NLMSG_ALIGNTO != 0 {
		m.body = append(m.body, 0)
	}
}

// add appends an attribute.
func (m *message) add(kind uint16, value []byte) *message {
	m.body = binary.NativeEndian.AppendUint16(m.body, uint16(unix.SizeofRtAttr+len(value)))
	m.body = binary.NativeEndian.AppendUint16(m.body, kind)
	m.body = append(m.body, value...)
	m.align()
	return m
}

func (m *message) addUint32(kind uint16, value uint32) *message {
	return m.add(kind, binary.NativeEndian.AppendUint32(nil, value))
}

func (m *message) bytes(sequence uint32) []byte {
	b := make([]byte, 0, unix.SizeofNlMsghdr+len(m.body))
	b = binary.NativeEndian.AppendUint32(b, uint32(unix.SizeofNlMsghdr+len(m.body)))
	b = binary.NativeEndian.AppendUint16(b, m.kind)
	b = binary.NativeEndian.AppendUint16(b, m.flags)
	b = binary.NativeEndian.AppendUint32(b, sequence)
	b = binary.NativeEndian.AppendUint32(b, 0) // the kernel fills in the sender
	return append(b, m.body...)
}
