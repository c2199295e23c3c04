package logfile

import (
	"errors"
	"io"
	"os"
)

// headBytes is how much of a line SeekTail shows to whoever decides whether it
// counts.
const headBytes = 64

// SeekTail moves a new reader to where the last n lines of the log begin. Lines
// whose first bytes counts refuses are not counted; nil counts all.
func (r *Reader) SeekTail(n int, counts func(head []byte) bool) error {
	files, err := r.files.open()
	if err != nil || len(files) == 0 {
		return err
	}
	from, at := files[len(files)-1], int64(0)
	for _, f := range files {
		if at, n, err = tailOf(f, n, counts); err != nil {
			closeAll(files)
			return err
		}
		if n == 0 {
			from = f
			break
		}
	}
	closeAll(files, from)
	if _, err := from.Seek(at, io.SeekStart); err != nil {
		_ = from.Close()
		return err
	}
	r.begin(from)
	return nil
}

// tailOf returns where the last n lines of a file begin, and how many are
// missing.
func tailOf(f *os.File, n int, counts func([]byte) bool) (at int64, missing int, err error) {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || end == 0 || n == 0 {
		return end, n, err
	}
	// begins is called with the beginning of each line, from the last on.
	begins := func(at int64) error {
		if counts != nil {
			var head [headBytes]byte
			k, err := f.ReadAt(head[:], at)
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if !counts(head[:k]) {
				return nil
			}
		}
		n--
		return nil
	}
	buf := make([]byte, 32<<10)
	for at = end; at > 0; {
		size := min(at, int64(len(buf)))
		at -= size
		if _, err := f.ReadAt(buf[:size], at); err != nil && !errors.Is(err, io.EOF) {
			return 0, n, err
		}
		for i := size - 1; i >= 0; i-- {
			// The end of the last line is not the beginning of another.
			if buf[i] != '\n' || at+i == end-1 {
				continue
			}
			if err := begins(at + i + 1); err != nil || n == 0 {
				return at + i + 1, n, err
			}
		}
	}
	err = begins(0)
	return 0, n, err
}
