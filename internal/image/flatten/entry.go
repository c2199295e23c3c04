package flatten

import (
	"archive/tar"
	"errors"
	"fmt"
	"math"
	"path"
	"strings"
	"time"
)

// kind is what a file is.
type kind uint8

const (
	regular kind = iota
	directory
	symlink
	hardLink
	charDevice
	blockDevice
	fifo
)

var kinds = map[byte]kind{
	tar.TypeReg:       regular,
	tar.TypeCont:      regular,
	tar.TypeGNUSparse: regular,
	tar.TypeDir:       directory,
	tar.TypeSymlink:   symlink,
	tar.TypeLink:      hardLink,
	tar.TypeChar:      charDevice,
	tar.TypeBlock:     blockDevice,
	tar.TypeFifo:      fifo,
}

// attributes are what an inode holds beside its content.
type attributes struct {
	kind         kind
	mode         uint16 // permissions, set-user-ID, set-group-ID and sticky bits
	uid, gid     uint32
	major, minor uint32
	size         int64
	modified     time.Time
	xattrs       []xattr
	target       string // of a symbolic link
}

// entry is one member of a layer, checked as far as it can be without knowing
// the others.
type entry struct {
	attributes
	name string // clean, relative to the root; "." is the root
	link string // what a hard link points to, clean, relative to the root
}

// newEntry checks a tar header. It returns nil for members that describe no file.
func newEntry(header *tar.Header) (*entry, error) {
	if header.Typeflag == tar.TypeXGlobalHeader {
		return nil, nil
	}
	name, err := cleanName(header.Name)
	if err != nil {
		return nil, err
	}
	k, ok := kinds[header.Typeflag]
	if !ok {
		return nil, fmt.Errorf("%q has the unknown type %q", header.Name, header.Typeflag)
	}
	e := &entry{name: name, attributes: attributes{
		kind: k, mode: uint16(header.Mode & 0o7777), modified: header.ModTime,
	}}
	if header.Uid < 0 || int64(header.Uid) >= math.MaxUint32 || header.Gid < 0 || int64(header.Gid) >= math.MaxUint32 {
		return nil, fmt.Errorf("%q has the impossible owner %d:%d", header.Name, header.Uid, header.Gid)
	}
	e.uid, e.gid = uint32(header.Uid), uint32(header.Gid)
	if e.xattrs, err = newXattrs(header.PAXRecords); err != nil {
		return nil, fmt.Errorf("%q: %w", header.Name, err)
	}
	return e, e.setKind(header)
}

// setKind takes from the header what only some kinds of files have.
func (e *entry) setKind(header *tar.Header) (err error) {
	switch e.kind {
	case regular:
		e.size = header.Size
	case symlink:
		if n := len(header.Linkname); n == 0 || n > maxPathBytes {
			return fmt.Errorf("the target of the symbolic link %q is %d bytes long", header.Name, n)
		}
		e.target = header.Linkname
	case hardLink:
		if e.link, err = cleanName(header.Linkname); err != nil {
			return fmt.Errorf("hard link %q: %w", header.Name, err)
		}
	case charDevice, blockDevice:
		// Linux has 12 bits for the major and 20 for the minor number.
		if header.Devmajor>>12 != 0 || header.Devminor>>20 != 0 {
			return fmt.Errorf("%q has the impossible device number %d:%d", header.Name, header.Devmajor, header.Devminor)
		}
		e.major, e.minor = uint32(header.Devmajor), uint32(header.Devminor)
	}
	return nil
}

// memory is about how many bytes of names and attributes the entry keeps.
func (e *entry) memory() int64 {
	n := len(e.name) + len(e.link) + len(e.target)
	for _, x := range e.xattrs {
		n += len(x.name) + len(x.value)
	}
	return int64(n)
}

var errHostile = errors.New("leads out of the image's root")

// cleanName makes a name relative to the image's root. Absolute names are names
// in the image; names that climb out of it are an attack.
func cleanName(name string) (string, error) {
	if len(name) > maxPathBytes {
		return "", fmt.Errorf("the name %.40q… is %d bytes long, and %d is the most that Linux can open", name, len(name), maxPathBytes)
	}
	clean := path.Clean(strings.TrimLeft(name, "/"))
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("the name %q %w", name, errHostile)
	}
	for part := range strings.SplitSeq(clean, "/") {
		if len(part) > maxNameBytes {
			return "", fmt.Errorf("the name %.40q… has a part of %d bytes, and %d is the most that Linux can store", part, len(part), maxNameBytes)
		}
	}
	return clean, nil
}
