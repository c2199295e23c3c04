package container

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxBundle is how large a bundle may be: the distributions' are of a quarter of a
// megabyte. Larger ones stay as they are.
const maxBundle = 4 << 20

// The lines around what is ours in a bundle.
const (
	blockBegin = "# BoxLite: begin\n"
	blockEnd   = "# BoxLite: end\n"
)

// temporary is the name under which a bundle is written before it takes the place of
// the old one.
const temporary = ".boxlite-ca.tmp"

// bundle is an ordinary file of the image, with certificates.
type bundle struct {
	dir  *os.File // that it is in, after all links
	name string
	text []byte
	stat unix.Stat_t
}

// openBundle reads a file that a path leads to. Links are followed, though to no
// other file system, where the kernel's files and devices are. The calling thread's
// root is the container's, so they lead to nothing outside.
func openBundle(path string) (*bundle, error) {
	b, err := locateBundle(path)
	if err != nil {
		return nil, err
	}
	if err := b.read(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bundle) close() { b.dir.Close() }

// maxLinks is how many links may lead to a bundle: as many as the kernel follows.
const maxLinks = 40

// locateBundle finds the folder in which a file really is.
func locateBundle(path string) (*bundle, error) {
	const resolve = unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS
	at, err := openat2(unix.AT_FDCWD, "/", unix.O_PATH|unix.O_DIRECTORY, resolve)
	if err != nil {
		return nil, os.NewSyscallError("openat2", err)
	}
	for range maxLinks {
		dir, err := openat2(at, filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, resolve)
		_ = unix.Close(at)
		if err != nil {
			return nil, os.NewSyscallError("openat2", err)
		}
		name := filepath.Base(path)
		link, err := readLink(dir, name)
		if errors.Is(err, unix.EINVAL) { // no link
			return &bundle{dir: os.NewFile(uintptr(dir), filepath.Dir(path)), name: name}, nil
		}
		if err != nil {
			_ = unix.Close(dir)
			return nil, os.NewSyscallError("readlinkat", err)
		}
		at, path = dir, link
	}
	_ = unix.Close(at)
	return nil, unix.ELOOP
}

func readLink(dir int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, buf)
	if err != nil {
		return "", err
	}
	// What a slash or dots at its end lead to is a folder, not a bundle.
	if link := string(buf[:n]); !strings.HasSuffix(link, "/") && !strings.HasSuffix(link, "..") {
		return link, nil
	}
	return "", unix.EISDIR
}

// read takes the file's text. Only an ordinary one of usual size is opened: to open
// another could block, or do something.
func (b *bundle) read() error {
	if err := unix.Fstatat(int(b.dir.Fd()), b.name, &b.stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return os.NewSyscallError("fstatat", err)
	}
	if b.stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.New("it is not an ordinary file")
	}
	if b.stat.Size > maxBundle {
		return fmt.Errorf("it has %d bytes, more than %d", b.stat.Size, maxBundle)
	}
	fd, err := openat2(int(b.dir.Fd()), b.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY,
		unix.RESOLVE_NO_XDEV|unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return os.NewSyscallError("openat2", err)
	}
	f := os.NewFile(uintptr(fd), b.name)
	defer f.Close()
	b.text, err = io.ReadAll(io.LimitReader(f, maxBundle))
	return err
}

// without returns the text without what is ours.
func (b *bundle) without() []byte { return withoutBlocks(b.text) }

func withoutBlocks(text []byte) []byte {
	var kept []byte
	for {
		before, after, found := bytes.Cut(text, []byte(blockEnd))
		if !found {
			return append(kept, text...)
		}
		// A block's beginning is the last before its end: what comes after a
		// beginning that has lost its end is not ours.
		if begin := bytes.LastIndex(before, []byte(blockBegin)); begin >= 0 {
			before = before[:begin]
		}
		kept, text = append(kept, before...), after
	}
}

// appendBlock returns text with certificates added, between the lines that mark them
// as ours; without certificates, just the text.
func appendBlock(text, added []byte) []byte {
	if len(added) == 0 {
		return text
	}
	text = bytes.Clone(text)
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	text = append(text, blockBegin...)
	text = append(text, bytes.TrimSpace(added)...)
	return append(text, "\n"+blockEnd...)
}

// replace puts another file in the place of this one, with its owner and mode, in
// one step.
func (b *bundle) replace(text []byte) error {
	if bytes.Equal(text, b.text) {
		return nil
	}
	dir := int(b.dir.Fd())
	if err := unix.Unlinkat(dir, temporary, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return os.NewSyscallError("unlink", err) // of a start that was cut short
	}
	fd, err := unix.Openat(dir, temporary, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return os.NewSyscallError("openat", err)
	}
	f := os.NewFile(uintptr(fd), temporary)
	defer f.Close()
	_, err = f.Write(text)
	if err == nil {
		err = f.Chown(int(b.stat.Uid), int(b.stat.Gid))
	}
	if err == nil {
		err = os.NewSyscallError("fchmod", unix.Fchmod(fd, b.stat.Mode&0o7777))
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.NewSyscallError("renameat", unix.Renameat(dir, temporary, dir, b.name))
	}
	if err != nil {
		_ = unix.Unlinkat(dir, temporary, 0)
	}
	return err
}
