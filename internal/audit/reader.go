package audit

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// sinceMargin is how much later an event may have happened than the time of the
// file says, which clocks of file systems are behind by.
const sinceMargin = time.Second

// reader reads the lines of the log, file by file. It never goes back, and holds
// no lock: files only grow.
type reader struct {
	path  string
	since time.Time

	f   *os.File // nil before the first file
	buf *bufio.Reader
	// last is set when f has been renamed: what it has now is all.
	last bool
	// line is the beginning of a line whose end is not there yet. Of one that is
	// too long only that is known.
	line    []byte
	tooLong bool
}

// next returns the next line, which is valid until next is called again. The
// error is io.EOF if there is none yet.
func (r *reader) next() ([]byte, error) {
	if r.f == nil {
		return nil, io.EOF
	}
	for {
		part, err := r.buf.ReadSlice('\n')
		if r.tooLong = r.tooLong || len(r.line)+len(part) > maxLine; r.tooLong {
			r.line = r.line[:0]
		} else {
			r.line = append(r.line, part...)
		}
		switch {
		case err == nil && !r.tooLong:
			line := r.line
			r.line = r.line[:0]
			return line, nil
		case err == nil:
			r.tooLong = false
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// advance is called at the end of the file, and reports whether there may be more
// to read: in it, or in the one that follows it.
func (r *reader) advance() (bool, error) {
	if r.f != nil && !r.last {
		same, err := r.isCurrent()
		if same || err != nil {
			return false, err
		}
		// Lines may have been added since its end was read, and before it was
		// renamed.
		r.last = true
		return true, nil
	}
	following, err := r.following()
	if following == nil || err != nil {
		return false, err
	}
	r.close()
	*r = reader{path: r.path, since: r.since, f: following, buf: bufio.NewReaderSize(following, maxLine)}
	return true, nil
}

// isCurrent reports whether lines are added to the file that is read.
func (r *reader) isCurrent() (bool, error) {
	named, err := os.Stat(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // nothing has taken its place yet
	}
	if err != nil {
		return false, err
	}
	info, err := r.f.Stat()
	return err == nil && os.SameFile(info, named), err
}

// following opens the file to read after the present one, or the first. It
// returns nil if there is none. The older file is opened after the current one:
// if that is renamed in between, both are the same, and none is left out.
func (r *reader) following() (_ *os.File, err error) {
	current, err := openIfThere(r.path)
	if err != nil {
		return nil, err
	}
	older, err := openIfThere(r.path + olderSuffix)
	if err == nil && older != nil {
		var wanted bool
		if wanted, err = r.wants(older); wanted && err == nil {
			current, older = older, current
		}
	}
	if older != nil {
		_ = older.Close()
	}
	if err != nil && current != nil {
		_ = current.Close()
		current = nil
	}
	return current, err
}

// wants reports whether the older file is to be read next, and not the current
// one.
func (r *reader) wants(older *os.File) (bool, error) {
	info, err := older.Stat()
	if err != nil {
		return false, err
	}
	if r.f == nil {
		return !info.ModTime().Add(sinceMargin).Before(r.since), nil
	}
	mine, err := r.f.Stat()
	if err != nil {
		return false, err
	}
	// Another than mine follows mine, which has been deleted, if it is younger.
	return !os.SameFile(mine, info) && !info.ModTime().Before(mine.ModTime()), nil
}

// openIfThere opens a file. It returns nil if there is none, but perhaps something
// else that stands in its place.
func openIfThere(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, nil
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

func (r *reader) close() {
	if r.f != nil {
		_ = r.f.Close()
	}
}
