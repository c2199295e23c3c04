package block

import (
	"errors"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxVector is how many pieces the kernel takes at once (IOV_MAX).
const maxVector = 1024

// zeroes is what is written where the host can't do it better.
var zeroes [256 << 10]byte

// move reads or writes what is left of a request, from and to the guest's memory. What
// it moved before an error stays moved.
//
// It makes system calls of its own, as the functions of package unix copy the vector.
func (d *Device) move(r *request, trap uintptr, flags int) error {
	for len(r.left) > 0 {
		n, _, errno := unix.Syscall6(trap, uintptr(d.fd), uintptr(unsafe.Pointer(&r.left[0])),
			uintptr(min(len(r.left), maxVector)), uintptr(r.offset), 0, uintptr(flags))
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			return errno
		case n == 0:
			return io.EOF
		default:
			r.advance(uint64(n))
		}
	}
	return nil
}

func (d *Device) read(r *request, flags int) error {
	err := d.move(r, unix.SYS_PREADV2, flags)
	if errors.Is(err, io.EOF) {
		r.zero() // somebody has made the file shorter
		return nil
	}
	return err
}

func (d *Device) write(r *request, flags int) error {
	if d.isStable {
		flags |= unix.RWF_DSYNC
	}
	return d.move(r, unix.SYS_PWRITEV2, flags)
}

// try does a request as far as that does not wait. It returns statusPending if something
// is left to do.
func (d *Device) try(r *request) byte {
	var err error
	can := &d.waitlessReads
	switch {
	case r.kind == typeIn && d.waitlessReads.Load():
		err = d.read(r, unix.RWF_NOWAIT)
	case r.kind == typeOut && d.waitlessWrites.Load() && !d.isStable:
		can = &d.waitlessWrites
		err = d.write(r, unix.RWF_NOWAIT)
	default:
		return statusPending
	}
	switch {
	case err == nil:
		return statusOK
	case errors.Is(err, unix.EOPNOTSUPP):
		can.Store(false)
	}
	return statusPending // an error comes again, if it was one
}

// wait does a request, however long that takes, and gives it back.
func (d *Device) wait(r *request) {
	var err error
	what := ""
	switch r.kind {
	case typeIn:
		what, err = "read", d.read(r, 0)
	case typeOut:
		what, err = "write", d.write(r, 0)
	case typeFlush:
		what, err = "flush", d.flush()
	case typeDiscard:
		what, err = "discard", d.each(r, d.discard)
	case typeWriteZeroes:
		what, err = "write zeroes", d.each(r, d.writeZeroes)
	}
	status := byte(statusOK)
	if err != nil {
		d.failed(what, err)
		status = statusError
	}
	r.taker.giveBack(r, status)
}

// flush has all that was written be on disk. A disk that can't be written has nothing.
func (d *Device) flush() error {
	if d.isReadOnly {
		return nil
	}
	return again(func() error { return d.datasync(d.fd) })
}

// each does something with each range of a request.
func (d *Device) each(r *request, do func(span) error) error {
	for _, s := range r.spans {
		if err := do(s); err != nil {
			return err
		}
	}
	if d.isStable {
		return d.flush()
	}
	return nil
}

// discard gives what a range takes back to the host, if it can: it is only a hint.
func (d *Device) discard(s span) error {
	err := d.allocate(unix.FALLOC_FL_PUNCH_HOLE, s)
	if isUnable(err) {
		return nil
	}
	return err
}

// isUnable reports whether the host can't do it this way. EINVAL is what disks with
// larger sectors say to a range that does not begin or end with one.
func isUnable(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)
}

// writeZeroes makes a range zero, in the best way that the host has.
func (d *Device) writeZeroes(s span) error {
	modes := [...]uint32{unix.FALLOC_FL_ZERO_RANGE, unix.FALLOC_FL_PUNCH_HOLE}
	if s.unmap {
		modes[0], modes[1] = modes[1], modes[0]
	}
	for _, mode := range modes {
		if err := d.allocate(mode, s); !isUnable(err) {
			return err
		}
	}
	for s.size > 0 {
		n, err := unix.Pwrite(d.fd, zeroes[:min(s.size, int64(len(zeroes)))], s.offset)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n == 0:
			return io.ErrShortWrite
		}
		s.offset, s.size = s.offset+int64(n), s.size-int64(n)
	}
	return nil
}

func (d *Device) allocate(mode uint32, s span) error {
	return again(func() error {
		return d.fallocate(d.fd, mode|unix.FALLOC_FL_KEEP_SIZE, s.offset, s.size)
	})
}

// again calls what a signal may interrupt.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
