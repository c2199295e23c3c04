package memory

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// piece is how much is moved by one system call at most: the kernel moves no more than 2 GiB,
// and looks for signals in between only.
const piece = 16 << 20

// Save writes the pages that are there to a file, where at is that of the first; for the
// others, nothing is written. The guest does not run meanwhile. It returns how much it wrote.
func (m *Memory) Save(file *os.File, at int64) (written int64, err error) {
	to := int(file.Fd())
	err = extents(m.file, 0, int64(m.Size()), func(start, end int64) error {
		written += end - start
		return m.each(start, end, func(b []byte, offset int64) error {
			return whole(b, at+offset, func(b []byte, offset int64) (int, error) { return unix.Pwrite(to, b, offset) })
		})
	})
	return written, err
}

// Load reads what Save has written into memory of the same size, all zero. Only what is in
// the file takes up memory. It returns how much that was.
func (m *Memory) Load(file *os.File, at int64) (read int64, err error) {
	from := int(file.Fd())
	err = extents(file, at, at+int64(m.Size()), func(start, end int64) error {
		read += end - start
		return m.each(start-at, end-at, func(b []byte, offset int64) error {
			return whole(b, at+offset, func(b []byte, offset int64) (int, error) { return unix.Pread(from, b, offset) })
		})
	})
	return read, err
}

// extents calls do for each part of a file between two offsets that is not a hole.
func extents(file *os.File, from, to int64, do func(start, end int64) error) error {
	fd := int(file.Fd())
	for from < to {
		start, err := unix.Seek(fd, from, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // there is no more
		}
		if err != nil {
			return fmt.Errorf("look for data in %s: %w", file.Name(), err)
		}
		end, err := unix.Seek(fd, start, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("look for holes in %s: %w", file.Name(), err)
		}
		if start = max(start, from); start >= to {
			return nil
		}
		if end = min(end, to); end <= start {
			return fmt.Errorf("%s changes while it is read", file.Name())
		}
		if err := do(start, end); err != nil {
			return err
		}
		from = end
	}
	return nil
}

// each calls do for pieces of the memory between two offsets of its file.
func (m *Memory) each(start, end int64, do func(b []byte, offset int64) error) error {
	for _, r := range m.regions {
		first, last := max(start, r.Offset), min(end, r.Offset+int64(len(r.Bytes)))
		for first < last {
			n := min(last-first, piece)
			if err := do(r.Bytes[first-r.Offset:][:n], first); err != nil {
				return err
			}
			first += n
		}
	}
	return nil
}

// whole repeats a system call until it has moved all bytes.
func whole(b []byte, offset int64, move func([]byte, int64) (int, error)) error {
	for len(b) > 0 {
		n, err := move(b, offset)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("move the guest's memory: %w", err)
		case n == 0:
			return fmt.Errorf("move the guest's memory: %w", io.ErrUnexpectedEOF)
		default:
			b, offset = b[n:], offset+int64(n)
		}
	}
	return nil
}
