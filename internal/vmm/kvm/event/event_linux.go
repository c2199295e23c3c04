// Package event has the one signal that all of a virtual machine's parts share: an
// eventfd, which the kernel can raise or take for a guest (ioeventfd and irqfd in KVM's
// API, sections 4.52 and 4.59) without this process being run.
package event

import (
	"encoding/binary"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Event is raised by one side and waited for by another. Raising it again before it was
// waited for changes nothing. Its methods may be called concurrently, but only one
// goroutine waits.
type Event struct {
	fd   int
	file *os.File
}

// New makes an event. The caller closes it.
func New() (*Event, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd2", err)
	}
	return &Event{fd: fd, file: os.NewFile(uintptr(fd), "eventfd")}, nil
}

// FD is the descriptor, for the kernel. It is the event's own.
func (e *Event) FD() int { return e.fd }

// Raise wakes who waits, or who will.
func (e *Event) Raise() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	for {
		// EAGAIN is an event that was raised 2^64-2 times: it is raised.
		if _, err := unix.Write(e.fd, one[:]); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// Wait blocks until the event is raised, and takes that back. After Interrupt or Close
// it returns an error.
func (e *Event) Wait() error {
	var count [8]byte
	_, err := e.file.Read(count[:])
	return err
}

// Interrupt makes Wait return [os.ErrDeadlineExceeded], now and until Resume is called.
func (e *Event) Interrupt() { _ = e.file.SetReadDeadline(time.Unix(1, 0)) }

// Resume undoes Interrupt.
func (e *Event) Resume() { _ = e.file.SetReadDeadline(time.Time{}) }

// Close closes the event; Wait returns.
func (e *Event) Close() error { return e.file.Close() }
