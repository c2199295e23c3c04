package flatten

import (
	"bytes"
	"errors"
	"io"
	"os"
)

const blockSize = 4096 // of the file system, and of most that hold it

var zeroBlock [blockSize]byte

// sparseFile leaves holes where blocks of zeros are written to new parts of a
// file. It writes in a goroutine of its own, so that the next content is read
// meanwhile; an error shows at a later call.
type sparseFile struct {
	file     *os.File
	position int64
	size     int64 // of what was written so far, holes included

	jobs   chan job
	free   chan []byte
	failed chan error // holds the first error
	ended  chan struct{}
}

// job is a piece to be written.
type job struct {
	content  []byte
	position int64
	fresh    bool // at a place never written to
}

const (
	pieceSize = 256 << 10
	pieces    = 4
)

func newSparseFile(file *os.File) *sparseFile {
	s := &sparseFile{
		file: file, jobs: make(chan job, pieces), free: make(chan []byte, pieces),
		failed: make(chan error, 1), ended: make(chan struct{}),
	}
	for range pieces {
		s.free <- make([]byte, pieceSize)
	}
	go s.run()
	return s
}

func (s *sparseFile) run() {
	defer close(s.ended)
	var err error
	for j := range s.jobs {
		if err == nil {
			if err = j.write(s.file); err != nil {
				s.failed <- err
			}
		}
		s.free <- j.content[:cap(j.content)]
	}
}

// Write implements io.Writer.
func (s *sparseFile) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		if err := s.err(); err != nil {
			return written, err
		}
		piece := <-s.free
		n := copy(piece, p)
		s.jobs <- job{piece[:n], s.position, s.position >= s.size}
		s.position += int64(n)
		s.size = max(s.size, s.position)
		written += n
		p = p[n:]
	}
	return written, nil
}

func (s *sparseFile) err() error {
	select {
	case err := <-s.failed:
		s.failed <- err
		return err
	default:
		return nil
	}
}

// write writes a piece in runs, each of which is all content or all zeros.
func (j job) write(file *os.File) error {
	for at := 0; at < len(j.content); {
		hole := j.hole(at)
		end := at
		for end < len(j.content) && j.hole(end) == hole {
			end += min(len(j.content)-end, blockSize-int((j.position+int64(end))%blockSize))
		}
		if !hole {
			if _, err := file.WriteAt(j.content[at:end], j.position+int64(at)); err != nil {
				return err
			}
		}
		at = end
	}
	return nil
}

// hole reports whether a whole block of zeros, which needs no writing, begins at
// an offset of the piece.
func (j job) hole(at int) bool {
	return j.fresh && (j.position+int64(at))%blockSize == 0 && at+blockSize <= len(j.content) &&
		bytes.Equal(j.content[at:at+blockSize], zeroBlock[:])
}

// Read is what the ext4 writer asks for, but never needs: it would read back
// attributes of files that are written twice.
func (s *sparseFile) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

// Seek implements io.Seeker.
func (s *sparseFile) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.position
	case io.SeekEnd:
		offset += s.size
	}
	if offset < 0 {
		return s.position, errors.New("seek before the start of the file")
	}
	s.position = offset
	return offset, nil
}

// close waits until all is written, and gives the file its size, a whole number
// of blocks. It is to be called once, whatever happened before.
func (s *sparseFile) close() error {
	close(s.jobs)
	<-s.ended
	if err := s.err(); err != nil {
		return err
	}
	return s.file.Truncate((s.size + blockSize - 1) &^ (blockSize - 1))
}
