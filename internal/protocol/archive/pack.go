package archive

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// nameBatch is how many names of a folder are read at once.
	nameBatch = 256
	// maxLinks is how many bytes of names of files with several are remembered.
	// Others are sent anew for each name.
	maxLinks = 8 << 20
	// copyBuffer is how much of a file is read or written at once.
	copyBuffer = 64 << 10
)

// PackOptions say what to pack. The zero value packs everything.
type PackOptions struct {
	// Skip is asked about each folder on another file system than the one it is
	// in, and says whether to leave out what is in it.
	Skip func(folder int, stat *unix.Stat_t) bool
}

// Pack writes a tar of the file name in dir, an open folder, under the name as. A
// link is packed as one. If as is empty, name must be a folder, and is itself
// left out. Sockets are, too.
//
// A file that grows is packed as it was when it was opened.
func Pack(ctx context.Context, w io.Writer, dir int, name, as string, o PackOptions) error {
	p := packer{ctx: ctx, w: w, o: o, buf: make([]byte, copyBuffer), links: make(map[inode]string), linksLeft: maxLinks}
	if err := p.pack(dir, name, as, 0, nil); err != nil {
		return err
	}
	_, err := w.Write(zeros[:2*blockSize])
	return err
}

type packer struct {
	ctx    context.Context
	w      io.Writer
	o      PackOptions
	buf    []byte // for content
	header []byte
	record []byte
	links  map[inode]string
	// linksLeft is how many bytes links may yet grow by.
	linksLeft int
}

// inode is what names of the same file have in common.
type inode struct{ device, number uint64 }

// pack packs a file under the name path, and what is in it. parent is the folder
// that it is in; nil for the first.
func (p *packer) pack(dir int, name, path string, depth int, parent *unix.Stat_t) error {
	if err := context.Cause(p.ctx); err != nil {
		return err
	}
	fd, stat, err := openEntry(dir, name)
	if errors.Is(err, unix.ENOENT) && parent != nil {
		return nil // removed since its name was read
	}
	if err != nil {
		return failed("open", path, err)
	}
	if stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		folder := os.NewFile(uintptr(fd), name)
		defer folder.Close()
		return p.packFolder(folder, &stat, path, depth, parent)
	}
	if fd >= 0 {
		defer unix.Close(fd)
	}
	if path == "" {
		return failed("pack", name, unix.ENOTDIR)
	}
	e := newEntry(&stat, path)
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return p.packFile(fd, &stat, &e)
	case unix.S_IFLNK:
		e.kind = tar.TypeSymlink
		if e.link, err = readLink(dir, name); err != nil {
			return failed("readlink", path, err)
		}
	case unix.S_IFIFO:
		e.kind = tar.TypeFifo
	case unix.S_IFCHR, unix.S_IFBLK:
		if e.kind = tar.TypeChar; stat.Mode&unix.S_IFMT == unix.S_IFBLK {
			e.kind = tar.TypeBlock
		}
		e.major, e.minor = unix.Major(uint64(stat.Rdev)), unix.Minor(uint64(stat.Rdev))
	default:
		return nil // a socket is of no use without the process that listens at it
	}
	return p.writeHeader(&e)
}

func newEntry(stat *unix.Stat_t, path string) entry {
	return entry{
		name: path, mode: uint32(stat.Mode) & 0o7777, uid: stat.Uid, gid: stat.Gid,
		seconds: int64(stat.Mtim.Sec), nanos: int64(stat.Mtim.Nsec), real: -1,
	}
}

func (p *packer) packFolder(folder *os.File, stat *unix.Stat_t, path string, depth int, parent *unix.Stat_t) (err error) {
	if depth >= maxDepth {
		return failed("pack", path, errTooDeep)
	}
	fd := int(folder.Fd())
	if path != "" {
		e := newEntry(stat, path+"/")
		e.kind = tar.TypeDir
		if e.xattrs, err = listXattrs(fd); err != nil {
			return failed("list the attributes of", path, err)
		}
		if err := p.writeHeader(&e); err != nil {
			return err
		}
		path += "/"
	}
	if parent != nil && parent.Dev != stat.Dev && p.o.Skip != nil && p.o.Skip(fd, stat) {
		return nil
	}
	for {
		names, err := folder.Readdirnames(nameBatch)
		for _, name := range names {
			if err := p.pack(fd, name, path+name, depth+1, stat); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// packFile packs a regular file that is open.
func (p *packer) packFile(fd int, stat *unix.Stat_t, e *entry) (err error) {
	if stat.Nlink > 1 {
		node := inode{uint64(stat.Dev), uint64(stat.Ino)}
		if first, ok := p.links[node]; ok {
			e.kind, e.link = tar.TypeLink, first
			return p.writeHeader(e)
		}
		const each = 64 // besides the name
		if size := len(e.name) + each; size <= p.linksLeft {
			p.linksLeft -= size
			p.links[node] = e.name
		}
	}
	e.kind, e.size = tar.TypeReg, stat.Size
	if e.xattrs, err = listXattrs(fd); err != nil {
		return failed("list the attributes of", e.name, err)
	}
	data := []extent{{0, stat.Size}}
	if stat.Blocks*blockSize < stat.Size {
		data = extents(fd, stat.Size)
	}
	if len(data) == 1 && data[0] == (extent{0, stat.Size}) {
		if err := p.writeHeader(e); err != nil {
			return err
		}
		return p.copyExtents(fd, e.name, data, stat.Size)
	}
	table := appendExtents(nil, data, stat.Size)
	e.real, e.size = stat.Size, int64(len(table))
	for _, d := range data {
		e.size += d.length
	}
	if err := p.writeHeader(e); err != nil {
		return err
	}
	if _, err := p.w.Write(table); err != nil {
		return err
	}
	return p.copyExtents(fd, e.name, data, e.size)
}

// copyExtents writes the parts of a file, and what fills the last of size bytes.
func (p *packer) copyExtents(fd int, name string, data []extent, size int64) error {
	for _, d := range data {
		for offset, left := d.offset, d.length; left > 0; {
			if err := context.Cause(p.ctx); err != nil {
				return err
			}
			n, err := 0, error(nil)
			err = again(func() error {
				n, err = unix.Pread(fd, p.buf[:min(left, copyBuffer)], offset)
				return err
			})
			if err == nil && n == 0 {
				err = errShrunk
			}
			if err != nil {
				return failed("read", name, err)
			}
			if _, err := p.w.Write(p.buf[:n]); err != nil {
				return err
			}
			offset, left = offset+int64(n), left-int64(n)
		}
	}
	_, err := p.w.Write(zeros[:padding(size)])
	return err
}

func (p *packer) writeHeader(e *entry) error {
	p.header, p.record = appendHeader(p.header[:0], p.record, e)
	_, err := p.w.Write(p.header)
	return err
}

// readLink returns what the link name in dir points to.
func readLink(dir int, name string) (string, error) {
	var buf [unix.PathMax]byte
	n, err := unix.Readlinkat(dir, name, buf[:])
	return string(buf[:max(0, n)]), err
}
