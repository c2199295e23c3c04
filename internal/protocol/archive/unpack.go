package archive

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// TemporaryPrefix begins the name of each file until it is complete.
const TemporaryPrefix = ".boxlite-copy-"

// UnpackOptions say how to unpack a tar. The zero value is right for an archive
// from somebody who is not trusted, but for UID and GID.
type UnpackOptions struct {
	// Archive keeps owners, set-ID bits and capabilities, and makes devices and
	// FIFOs.
	Archive bool
	// UID and GID own all files, unless Archive is set. -1 leaves them to whom the
	// process makes them.
	UID, GID int
	// SetID keeps set-ID bits and capabilities, without Archive.
	SetID bool
	// NoOverwrite makes a file that exists an error, unless it and the new one
	// are folders.
	NoOverwrite bool
	// Only is the name that the tar may hold: the file itself, or the folder that
	// all is in. Empty means any.
	Only string
	// Umask is what the process's umask is known to take away at most.
	Umask uint32
	// Progress is called with the number of bytes of files so far, now and then.
	Progress func(bytes int64)
}

// Unpacked tells what was unpacked.
type Unpacked struct{ Files, Bytes int64 }

// Unpack makes the files of a tar in dir, an open folder. It follows no link on
// the way. Each file appears under its name when it is complete, so nothing half
// written is left when reading fails or ctx ends; what was complete by then
// stays. Folders that exist keep their owner, mode and times.
func Unpack(ctx context.Context, r io.Reader, dir int, o UnpackOptions) (Unpacked, error) {
	u := unpacker{
		ctx: ctx, o: o, tar: tar.NewReader(r), buf: make([]byte, copyBuffer),
		temporary: TemporaryPrefix + rand.Text()[:10],
	}
	u.levels = append(u.levels, level{fd: dir})
	for {
		header, err := u.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = u.unpack(header)
		}
		if err != nil {
			return u.done, errors.Join(err, u.leave(1))
		}
	}
	return u.done, u.leave(1)
}

type unpacker struct {
	ctx       context.Context
	o         UnpackOptions
	tar       *tar.Reader
	buf       []byte
	temporary string
	levels    []level // the folder that is unpacked into, and those down to the last file
	done      Unpacked
}

func (u *unpacker) next() (*tar.Header, error) {
	if err := context.Cause(u.ctx); err != nil {
		return nil, err
	}
	return u.tar.Next()
}

// unpack makes one file.
func (u *unpacker) unpack(h *tar.Header) error {
	parts, err := split(h.Name)
	if err == nil && u.o.Only != "" && (len(parts) == 0 || parts[0] != u.o.Only) {
		err = ErrOutside
	}
	if err != nil {
		return failed("unpack", abbreviated(h.Name), err)
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	if len(parts) == 0 {
		if h.Typeflag == tar.TypeDir {
			return nil // the folder itself, which is there
		}
		return failed("unpack", abbreviated(h.Name), unix.EISDIR)
	}
	if h.Typeflag == tar.TypeDir {
		if err := u.enter(parts); err != nil {
			return failed("unpack", abbreviated(h.Name), err)
		}
		u.top().want(h)
		u.done.Files++
		return nil
	}
	if err := u.enter(parts[:len(parts)-1]); err != nil {
		return failed("unpack", abbreviated(h.Name), err)
	}
	if err := u.make(h, parts[len(parts)-1]); err != nil {
		return failed("unpack", abbreviated(h.Name), err)
	}
	u.done.Files++
	return nil
}

// make makes a file in the folder that is entered.
func (u *unpacker) make(h *tar.Header, name string) error {
	dir := u.top().fd
	if u.o.NoOverwrite {
		var stat unix.Stat_t
		if err := unix.Fstatat(dir, name, &stat, unix.AT_SYMLINK_NOFOLLOW); err == nil {
			return unix.EEXIST
		}
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, '7', 0:
		return u.makeFile(h, name)
	case tar.TypeSymlink:
		return u.place(name, func(name string) error {
			if err := unix.Symlinkat(h.Linkname, dir, name); err != nil {
				return err
			}
			return u.describeLink(dir, name, h)
		})
	case tar.TypeLink:
		return u.makeLink(h, name)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		if !u.o.Archive {
			return ErrSpecial
		}
		return u.place(name, func(name string) error {
			if err := makeNode(dir, name, nodeMode(h), makeDevice(h.Devmajor, h.Devminor)); err != nil {
				return err
			}
			return u.describeLink(dir, name, h)
		})
	}
	return fmt.Errorf("a tar can't have files of type %q here", h.Typeflag)
}

func nodeMode(h *tar.Header) uint32 {
	mode := uint32(h.Mode) & 0o7777
	switch h.Typeflag {
	case tar.TypeChar:
		return mode | unix.S_IFCHR
	case tar.TypeBlock:
		return mode | unix.S_IFBLK
	}
	return mode | unix.S_IFIFO
}

// makeLink makes another name for a file that has been unpacked before.
func (u *unpacker) makeLink(h *tar.Header, name string) error {
	parts, err := split(h.Linkname)
	if err == nil && (len(parts) == 0 || u.o.Only != "" && parts[0] != u.o.Only) {
		err = ErrOutside
	}
	if err != nil {
		return err
	}
	from, err := u.open(parts[:len(parts)-1])
	if err != nil {
		return err
	}
	defer unix.Close(from)
	dir := u.top().fd
	return u.place(name, func(name string) error {
		return unix.Linkat(from, parts[len(parts)-1], dir, name, 0)
	})
}

// place makes something under its name, or, if that is taken, under another that
// then takes the place of the old.
func (u *unpacker) place(name string, do func(name string) error) error {
	dir := u.top().fd
	err := do(name)
	if !errors.Is(err, unix.EEXIST) || u.o.NoOverwrite {
		return err
	}
	if err := do(u.temporary); err != nil {
		_ = unix.Unlinkat(dir, u.temporary, 0) // if it came to be
		return err
	}
	if err = unix.EBUSY; !IsMount(dir, name) {
		err = unix.Renameat(dir, u.temporary, dir, name)
	}
	// Of two names for the same file, rename removes none.
	if e := unix.Unlinkat(dir, u.temporary, 0); err == nil && !errors.Is(e, unix.ENOENT) {
		err = e
	}
	return err
}

// split returns the elements of a name in a tar. A leading slash is dropped, as
// tar does.
func split(name string) ([]string, error) {
	if len(name) >= unix.PathMax {
		return nil, unix.ENAMETOOLONG
	}
	if strings.ContainsRune(name, 0) {
		return nil, unix.EINVAL
	}
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			return nil, ErrOutside
		default:
			parts = append(parts, part)
		}
	}
	if len(parts) > maxDepth {
		return nil, errTooDeep
	}
	return parts, nil
}

// abbreviated keeps an error short whose name was chosen by a stranger.
func abbreviated(name string) string {
	const most = 256
	if len(name) > most {
		return name[:most] + "…"
	}
	return name
}
