package logfile

import (
	"errors"
	"io/fs"
	"os"
)

// Writer adds lines to a log. When a file has no room for more, it is renamed,
// and another begun. It is for one process, and one goroutine.
type Writer struct {
	files   Files
	maxFile int64

	file *os.File // nil if it could not be opened
	size int64
	torn bool // the file ends with half a line
}

// OpenWriter opens a log, and makes it if it isn't there. maxFile is how large a
// file may get, in bytes; a single write that is larger has a file of its own.
// The caller closes the Writer.
func OpenWriter(files Files, maxFile int64) (*Writer, error) {
	w := &Writer{files: files, maxFile: maxFile}
	return w, w.open()
}

func (w *Writer) open() error {
	file, err := os.OpenFile(w.files.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && info.Size() > 0 {
		var last [1]byte
		_, err = file.ReadAt(last[:], info.Size()-1)
		w.torn = last[0] != '\n' // a writer was killed
	}
	if err != nil {
		_ = file.Close()
		return err
	}
	w.file, w.size = file, info.Size()
	return nil
}

// Write adds whole lines. After an error, some or all of them are lost, and those
// of the next call begin on a line of their own.
func (w *Writer) Write(lines []byte) (int, error) {
	if w.size > 0 && w.size+int64(len(lines))+1 > w.maxFile {
		if err := w.rotate(); err != nil {
			return 0, err
		}
	}
	if w.file == nil {
		if err := w.open(); err != nil {
			return 0, err
		}
	}
	if w.torn {
		n, err := w.file.WriteString("\n")
		w.size += int64(n)
		if err != nil {
			return 0, err
		}
		w.torn = false
	}
	n, err := w.file.Write(lines)
	w.size += int64(n)
	w.torn = n > 0 && lines[n-1] != '\n'
	return n, err
}

// rotate gives all files the names of the next older ones, from the oldest on: if
// the process is killed in between, a name is missing, and no file.
func (w *Writer) rotate() error {
	for age := w.files.Older - 1; age >= 0; age-- {
		err := os.Rename(w.files.name(age), w.files.name(age+1))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if w.file != nil {
		_ = w.file.Close()
	}
	w.file, w.size, w.torn = nil, 0, false
	return w.open()
}

// Close closes the file.
func (w *Writer) Close() error {
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}
