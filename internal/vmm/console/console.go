package console

import (
	"fmt"
	"io"
	"os"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

const (
	// maxConsole bounds the console's file. With the older one beside it, a
	// guest that writes without end takes twice as much of the host's disk.
	maxConsole = 1 << 20
	// maxConsoleTail bounds what is searched for a panic.
	maxConsoleTail = 32 << 10
)

// File is where what a guest prints is kept. It remembers the end of it.
type File struct {
	path string
	file *os.File
	size int64
	tail *Tail
	done chan struct{}
}

// Open opens the file, or makes it. What is written is appended.
func Open(path string) (*File, error) {
	c := &File{path: path, tail: NewTail(maxConsoleTail), done: make(chan struct{})}
	if err := c.open(); err != nil {
		return nil, &protocol.Error{
			Kind: protocol.KindStorage, Op: "open the console's file", Err: err,
			Hint: "see that the folder exists and can be written to",
		}
	}
	return c, nil
}

func (c *File) open() error {
	file, err := os.OpenFile(c.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return err
	}
	c.file, c.size = file, info.Size()
	return nil
}

// Copy takes all that the guest prints, until r ends, and closes both. If the file can't be
// written, the rest is lost: the guest must not wait for it.
func (c *File) Copy(r io.ReadCloser) {
	defer close(c.done)
	defer r.Close()
	_, _ = io.Copy(c, r)
	if c.file != nil {
		_ = c.file.Close()
	}
}

// Wait returns when Copy has.
func (c *File) Wait() { <-c.done }

// Tail returns the end of what was printed.
func (c *File) Tail() string { return c.tail.String() }

// Close closes a file to which nothing is copied.
func (c *File) Close() error { return c.file.Close() }

// Write never fails.
func (c *File) Write(p []byte) (int, error) {
	_, _ = c.tail.Write(p)
	for rest := p; len(rest) > 0; {
		if c.size >= maxConsole {
			c.rotate()
		}
		if c.file == nil {
			break
		}
		n, err := c.file.Write(rest[:min(len(rest), int(maxConsole-c.size))])
		c.size += int64(n)
		rest = rest[n:]
		if err != nil {
			break
		}
	}
	return len(p), nil
}

// rotate begins a new file and keeps the old one beside it.
func (c *File) rotate() {
	_ = c.file.Close()
	c.file = nil
	if os.Rename(c.path, fmt.Sprintf("%s.1", c.path)) == nil {
		_ = c.open()
	}
}
