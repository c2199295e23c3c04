package memory

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// piece is how much is copied at a time. It stays in the processor's caches on its way; and
// neither file's pages have to be mapped one by one, which takes longer than to copy them.
const piece = 256 << 10

// Save writes the pages that are not all zero to a file, where at is that of the first; for
// the others, nothing is written. The guest does not run meanwhile. It returns how much it wrote.
func (m *Memory) Save(file *os.File, at int64) (written int64, err error) {
	return copyData(file, at, m.file, 0, int64(m.Size()))
}

// Load reads what Save has written into memory of the same size, all zero. Only what is in
// the file takes up memory. It returns how much that was.
func (m *Memory) Load(file *os.File, at int64) (read int64, err error) {
	return copyData(m.file, 0, file, at, int64(m.Size()))
}

// copyData copies n bytes between files, but for holes.
func copyData(to *os.File, toOffset int64, from *os.File, fromOffset, n int64) (copied int64, err error) {
	buffer := make([]byte, piece)
	err = extents(from, fromOffset, fromOffset+n, func(start, end int64) error {
		for start < end {
			b := buffer[:min(end-start, piece)]
			if _, err := from.ReadAt(b, start); err != nil {
				return fmt.Errorf("copy the guest's memory: %w", err)
			}
			written, err := writePages(to, b, start-fromOffset+toOffset)
			copied += written
			if err != nil {
				return fmt.Errorf("copy the guest's memory: %w", err)
			}
			start += int64(len(b))
		}
		return nil
	})
	return copied, err
}

// writePages writes the pages that are not all zero: where little is used of large pages, most
// are.
func writePages(to *os.File, b []byte, at int64) (written int64, err error) {
	for len(b) > 0 {
		n, isZero := alike(b)
		if !isZero {
			if _, err := to.WriteAt(b[:n], at); err != nil {
				return written, err
			}
			written += int64(n)
		}
		b, at = b[n:], at+int64(n)
	}
	return written, nil
}

// alike returns how many bytes the pages have at the beginning that are all zero, or all
// not.
func alike(b []byte) (n int, isZero bool) {
	for n < len(b) {
		page := b[n:min(n+Page, len(b))]
		zero := bytes.Equal(page, zeroes[:len(page)])
		if n == 0 {
			isZero = zero
		}
		if zero != isZero {
			break
		}
		n += len(page)
	}
	return n, isZero
}

var zeroes [Page]byte

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
