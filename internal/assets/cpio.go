package assets

import (
	"fmt"
	"io"
)

// cpioEntry is one file of an archive in the kernel's format for an initial
// file system ("newc", Documentation/driver-api/early-userspace/buffer-format.rst).
type cpioEntry struct {
	name         string
	mode         uint32 // type and permissions, as in stat(2)
	major, minor uint32 // of a device
	size         int64  // of a regular file
}

const (
	cpioRegular   = 0o100000
	cpioDirectory = 0o040000
	cpioCharacter = 0o020000

	cpioHeaderSize = 110
	cpioTrailer    = "TRAILER!!!"
)

// cpioWriter writes an archive. After the header of a regular file, its content
// is written through Write.
type cpioWriter struct {
	w     io.Writer
	n     int64 // bytes written
	inode int
}

func (c *cpioWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// header begins an entry.
func (c *cpioWriter) header(e cpioEntry) error {
	if err := c.pad(); err != nil {
		return err
	}
	c.inode++
	// Magic, inode, mode, owner, group, links, time, size, device of the file
	// system, device, size of the name, checksum; then the name.
	_, err := fmt.Fprintf(c, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		c.inode, e.mode, 0, 0, 1, 0, e.size, 0, 0, e.major, e.minor, len(e.name)+1, 0, e.name)
	if err != nil {
		return err
	}
	return c.pad()
}

// pad fills up to a multiple of four bytes.
func (c *cpioWriter) pad() error {
	_, err := c.Write(make([]byte, -c.n&3))
	return err
}

// Close ends the archive. It does not close the writer below.
func (c *cpioWriter) Close() error {
	if err := c.header(cpioEntry{name: cpioTrailer}); err != nil {
		return err
	}
	return c.pad()
}
