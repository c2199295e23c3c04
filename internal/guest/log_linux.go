package guest

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	// keptLog is how much of a stream is kept in its log, beyond what is kept in
	// memory.
	keptLog = 16 << 20
	// logSlack is how much more the log may take, so that it is not trimmed at
	// each write.
	logSlack = 1 << 20
)

// streamLog keeps what a command writes while nobody reads it: a file without a
// name on the box's disk, at the same offsets as in the stream. Its beginning is
// trimmed, by making it a hole.
type streamLog struct {
	file *os.File
	// The log holds the stream's bytes from start to end.
	start, end uint64
}

// openLog returns an empty log that begins at an offset of the stream.
func openLog(dir string, at uint64) (*streamLog, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "make a log in", Path: dir, Err: err}
	}
	return &streamLog{file: os.NewFile(uintptr(fd), "log"), start: at, end: at}, nil
}

// append writes what follows in the stream. After an error the log begins anew
// behind p.
func (l *streamLog) append(p []byte) {
	_, err := l.file.WriteAt(p, int64(l.end))
	l.end += uint64(len(p))
	switch {
	case err != nil:
		l.trim(l.end)
	case l.end-l.start > keptLog+logSlack:
		l.trim(l.end - keptLog)
	}
}

// trim forgets what is before an offset.
func (l *streamLog) trim(to uint64) {
	const hole = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	// If it can't, the file takes more space than is wanted, no more.
	_ = unix.Fallocate(int(l.file.Fd()), hole, int64(l.start), int64(to-l.start))
	l.start = to
}

// block returns what the log holds from an offset on, as far as one block goes.
func (l *streamLog) block(offset uint64) (*block, []byte, error) {
	buf := takeBuffer()
	n, err := l.file.ReadAt(buf[:min(blockSize, l.end-offset)], int64(offset))
	if err != nil {
		giveBuffer(buf)
		return nil, nil, err
	}
	b := newBlock(buf, n)
	return b, b.data, nil
}

func (l *streamLog) close() {
	if l != nil {
		_ = l.file.Close()
	}
}
