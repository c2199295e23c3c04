// Package logfile writes, reads and follows logs that are kept in several files:
//
//	name      lines are added to it
//	name.1    the one before: name is renamed when it is full
//	name.2    the one before that, and so on; the oldest is deleted
//
// Readers hold no lock, and know a file by its inode, so that they finish a file
// that is renamed under them and go on with the one after it. A writer that is
// killed leaves at most a half line, at any point of a rotation no more than a
// name that is missing.
package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Files are the files of a log.
type Files struct {
	// Path is the file that lines are added to.
	Path string
	// Older is how many are kept beside it.
	Older int
}

// name returns the path of a file; 0 is the newest.
func (s Files) name(age int) string {
	if age == 0 {
		return s.Path
	}
	return fmt.Sprintf("%s.%d", s.Path, age)
}

// open opens the files that are there, newest first. Each is opened after the
// ones that follow it in time: one that is renamed meanwhile is met twice, and
// none is left out.
func (s Files) open() ([]*os.File, error) {
	var files []*os.File
	for age := range s.Older + 1 {
		f, err := openIfThere(s.name(age))
		if err == nil && f != nil && len(files) > 0 {
			var same bool
			if same, err = sameFile(f, files[len(files)-1]); same || err != nil {
				_ = f.Close()
				f = nil
			}
		}
		if err != nil {
			closeAll(files)
			return nil, err
		}
		if f != nil {
			files = append(files, f)
		}
	}
	return files, nil
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

func sameFile(a, b *os.File) (bool, error) {
	infoA, err := a.Stat()
	if err != nil {
		return false, err
	}
	infoB, err := b.Stat()
	return err == nil && os.SameFile(infoA, infoB), err
}

// closeAll closes files, but for one.
func closeAll(files []*os.File, but ...*os.File) {
	for _, f := range files {
		if len(but) == 0 || f != but[0] {
			_ = f.Close()
		}
	}
}
