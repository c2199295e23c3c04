// Package capture writes frames to a file that Wireshark and tcpdump read: pcap, with
// nanoseconds (https://ietf-opsawg-wg.github.io/draft-ietf-opsawg-pcap).
package capture

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/boxlite-go/boxlite/internal/network/link"
)

const (
	magic        = 0xa1b23c4d // nanoseconds
	linkEthernet = 1
)

// Writer writes frames. A nil one does nothing. It may be used by several goroutines.
type Writer struct {
	mu   sync.Mutex
	file *os.File
	w    *bufio.Writer
	err  error // the first; nothing is written after it
}

// Create makes the file, which only its owner may read, or empties it.
func Create(path string) (*Writer, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create capture: %w", err)
	}
	c := &Writer{file: file, w: bufio.NewWriterSize(file, 256<<10)}
	var head [24]byte
	binary.LittleEndian.PutUint32(head[0:], magic)
	binary.LittleEndian.PutUint16(head[4:], 2) // version 2.4
	binary.LittleEndian.PutUint16(head[6:], 4)
	binary.LittleEndian.PutUint32(head[16:], link.MaxFrame)
	binary.LittleEndian.PutUint32(head[20:], linkEthernet)
	c.write(head[:])
	return c, nil
}

// Frame writes a frame, given in pieces.
func (c *Writer) Frame(at time.Time, pieces ...[]byte) {
	if c == nil {
		return
	}
	size := 0
	for _, piece := range pieces {
		size += len(piece)
	}
	var head [16]byte
	binary.LittleEndian.PutUint32(head[0:], uint32(at.Unix()))
	binary.LittleEndian.PutUint32(head[4:], uint32(at.Nanosecond()))
	binary.LittleEndian.PutUint32(head[8:], uint32(size))
	binary.LittleEndian.PutUint32(head[12:], uint32(size))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write(head[:])
	for _, piece := range pieces {
		c.write(piece)
	}
}

func (c *Writer) write(b []byte) {
	if c.err == nil {
		_, c.err = c.w.Write(b)
	}
}

// Flush writes out what is buffered.
func (c *Writer) Flush() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = c.w.Flush()
	}
}

// Close ends the file, and returns the first error that there was.
func (c *Writer) Close() error {
	if c == nil {
		return nil
	}
	c.Flush()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.file.Close(); c.err == nil {
		c.err = err
	}
	if c.err != nil {
		return fmt.Errorf("write capture: %w", c.err)
	}
	return nil
}
