package archive

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxExtents bounds the table of a sparse file. What follows the last is sent
// with its holes.
const maxExtents = 8 << 10

// extent is a part of a sparse file that has data.
type extent struct{ offset, length int64 }

// extents returns the parts of an open file that have data. A file system that
// knows no holes says that it is all data.
func extents(fd int, size int64) []extent {
	var data []extent
	for at := int64(0); at < size; {
		start, err := unix.Seek(fd, at, seekData)
		if err == unix.ENXIO {
			break // only a hole follows
		}
		if err != nil || start < at || len(data) == maxExtents-1 {
			return append(data, extent{at, size - at})
		}
		end, err := unix.Seek(fd, start, seekHole)
		if err != nil || end <= start {
			end = size
		}
		if start < size {
			end = min(end, size)
			data = append(data, extent{start, end - start})
		}
		at = end
	}
	return data
}

// appendExtents appends the table that begins the data of a sparse file in GNU
// tar's format 1.0: numbers on lines of their own, filled up to a block.
func appendExtents(to []byte, data []extent, size int64) []byte {
	if len(data) == 0 || data[len(data)-1].offset+data[len(data)-1].length < size {
		data = append(data[:len(data):len(data)], extent{size, 0})
	}
	line := func(n int64) { to = append(strconv.AppendInt(to, n, 10), '\n') }
	line(int64(len(data)))
	for _, d := range data {
		line(d.offset)
		line(d.length)
	}
	return appendPadding(to, int64(len(to)))
}

// isZero reports whether p, no longer than a copy buffer, is all zeros.
func isZero(p []byte) bool { return bytes.Equal(p, zeros[:len(p)]) }
