package logfile

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// sinceMargin is how much later a line may have been written than the time of the
// file says, which clocks of file systems are behind by.
const sinceMargin = time.Second

// Options say how a log is read.
type Options struct {
	// MaxLine is the length of the longest line, with its end. Longer ones are
	// left out.
	MaxLine int
	// Since leaves out files to which nothing was added since. Lines are not
	// looked at.
	Since time.Time
	// Parts gives lines that are too long in parts, and the half line at the end
	// of a file that gets no more.
	Parts bool
}

// Reader reads the lines of a log, file by file. It never goes back.
type Reader struct {
	files   Files
	options Options

	f   *os.File // nil before the first file
	buf *bufio.Reader
	// last is set when another file has taken the place of f: what it has now is
	// all.
	last bool
	// line is the beginning of a line whose end is not there yet. Of one that is
	// too long only that is known.
	line    []byte
	tooLong bool
}

// NewReader returns a reader at the beginning of a log. The caller closes it.
func NewReader(files Files, options Options) *Reader {
	return &Reader{files: files, options: options}
}

// Next returns the next line, which is valid until the next call. The error is
// io.EOF if there is none yet: see [Reader.Advance].
func (r *Reader) Next() ([]byte, error) {
	if r.f == nil {
		return nil, io.EOF
	}
	for {
		part, err := r.buf.ReadSlice('\n')
		full := errors.Is(err, bufio.ErrBufferFull)
		r.tooLong = !r.options.Parts && (r.tooLong || len(r.line)+len(part) > r.options.MaxLine)
		if r.tooLong {
			r.line = r.line[:0]
		} else {
			r.line = append(r.line, part...)
		}
		switch {
		case err == nil && r.tooLong:
			r.tooLong = false
		case err == nil, full && r.options.Parts:
			return r.Rest(), nil
		case full:
		case r.last && r.options.Parts && len(r.line) > 0 && errors.Is(err, io.EOF):
			return r.Rest(), nil
		default:
			return nil, err
		}
	}
}

// Rest returns the half line at the end of what has been read. It is valid until
// the next call.
func (r *Reader) Rest() []byte {
	rest := r.line
	r.line = r.line[:0]
	return rest
}

// Advance is called at the end of the file, and reports whether there may be more
// to read: in it, or in the one that follows it.
func (r *Reader) Advance() (bool, error) {
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
	r.Close()
	r.begin(following)
	return true, nil
}

func (r *Reader) begin(f *os.File) {
	r.f, r.buf, r.last = f, bufio.NewReaderSize(f, r.options.MaxLine), false
	r.line, r.tooLong = r.line[:0], false
}

// isCurrent reports whether lines are added to the file that is read.
func (r *Reader) isCurrent() (bool, error) {
	named, err := os.Stat(r.files.Path)
	if errors.Is(err, fs.ErrNotExist) {
		// It has been renamed, and nothing has taken its place yet, or all is gone.
		following, err := r.following()
		if following != nil {
			_ = following.Close()
		}
		return following == nil, err
	}
	if err != nil {
		return false, err
	}
	info, err := r.f.Stat()
	return err == nil && os.SameFile(info, named), err
}

// following opens the file to read after the present one, or the first. It
// returns nil if there is none.
func (r *Reader) following() (*os.File, error) {
	files, err := r.files.open()
	if err != nil || len(files) == 0 {
		return nil, err
	}
	next, err := r.choose(files)
	closeAll(files, next)
	return next, err
}

// choose returns which of the files, newest first, is to be read next.
func (r *Reader) choose(files []*os.File) (*os.File, error) {
	after := r.options.Since
	if r.f != nil {
		for i, f := range files {
			if same, err := sameFile(r.f, f); err != nil {
				return nil, err
			} else if same && i == 0 {
				return nil, nil
			} else if same {
				return files[i-1], nil
			}
		}
		// Mine has been deleted. What follows it is younger.
		mine, err := r.f.Stat()
		if err != nil {
			return nil, err
		}
		after = mine.ModTime().Add(sinceMargin)
	}
	for i := len(files) - 1; i >= 0; i-- {
		info, err := files[i].Stat()
		if err != nil {
			return nil, err
		}
		if !info.ModTime().Add(sinceMargin).Before(after) {
			return files[i], nil
		}
	}
	if files[0].Name() != r.files.Path {
		return nil, nil
	}
	return files[0], nil
}

// Close lets go of the file that is read.
func (r *Reader) Close() {
	if r.f != nil {
		_ = r.f.Close()
	}
}
