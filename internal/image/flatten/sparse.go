package flatten

import (
	"bytes"
	"errors"
	"io"
	"os"
)

const blockSize = 4096

var zeroBlock [blockSize]byte

// sparseFile leaves holes where blocks of zeros are written to new parts of a
// file.
type sparseFile struct {
	file     *os.File
	position int64
	end      int64 // of what was written so far, holes included
}

// Write implements io.Writer.
func (s *sparseFile) Write(p []byte) (int, error) {
	for written := 0; written < len(p); {
		n, err := s.writeRun(p[written:])
		written += n
		s.position += int64(n)
		s.end = max(s.end, s.position)
		if err != nil {
			return written, err
		}
	}
	return len(p), nil
}

// writeRun writes, or leaves out, the longest start of p that is all content or
// all zeros.
func (s *sparseFile) writeRun(p []byte) (int, error) {
	zeros := s.hole(p, s.position)
	n := 0
	for n < len(p) && s.hole(p[n:], s.position+int64(n)) == zeros {
		n += min(len(p)-n, blockSize-int((s.position+int64(n))%blockSize))
	}
	if zeros {
		return n, nil
	}
	return s.file.WriteAt(p[:n], s.position)
}

// hole reports whether p begins with a whole block of zeros, at a place never
// written to.
func (s *sparseFile) hole(p []byte, position int64) bool {
	return len(p) >= blockSize && position%blockSize == 0 && position >= s.end &&
		bytes.Equal(p[:blockSize], zeroBlock[:])
}

// Read implements io.Reader, which the ext4 writer asks for.
func (s *sparseFile) Read(p []byte) (int, error) {
	n, err := s.file.ReadAt(p, s.position)
	s.position += int64(n)
	return n, err
}

// Seek implements io.Seeker.
func (s *sparseFile) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.position
	case io.SeekEnd:
		offset += s.end
	}
	if offset < 0 {
		return s.position, errors.New("seek before the start of the file")
	}
	s.position = offset
	return offset, nil
}

// finish gives the file its size, a whole number of blocks.
func (s *sparseFile) finish() error {
	return s.file.Truncate((s.end + blockSize - 1) &^ (blockSize - 1))
}
