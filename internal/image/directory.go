package image

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tarFolder streams the files below a folder as a tar, with their owners, modes, times
// and capabilities, as far as whoever asks may read them. Sockets are left out. No
// symbolic link is followed but the folder itself.
func tarFolder(ctx context.Context, dir string) io.ReadCloser {
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(writeTar(ctx, w, dir)) }()
	return r
}

func writeTar(ctx context.Context, to io.Writer, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	t := &treeWriter{Writer: tar.NewWriter(to), root: root, dir: dir, links: map[inode]string{}}
	err = fs.WalkDir(root.FS(), ".", func(name string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		if err := t.add(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // or removed meanwhile
			return notReadable(err, filepath.Join(dir, name), "")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.Close()
}

// inode is which file a name stands for.
type inode struct{ device, number uint64 }

// treeWriter writes the files of a folder to a tar.
type treeWriter struct {
	*tar.Writer
	root  *os.Root
	dir   string
	links map[inode]string // the first name of each file that has several
}

func (t *treeWriter) add(name string) error {
	info, err := t.root.Lstat(name)
	if err != nil || info.Mode()&fs.ModeSocket != 0 {
		return err
	}
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = t.root.Readlink(name); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	header.Name, header.Uname, header.Gname, header.Format = name, "", "", tar.FormatPAX
	header.AccessTime, header.ChangeTime = time.Time{}, time.Time{} // or the same files would be another image
	if info.IsDir() {
		header.Name += "/"
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && !info.IsDir() && stat.Nlink > 1 {
		file := inode{uint64(stat.Dev), stat.Ino}
		if first, ok := t.links[file]; ok {
			header.Typeflag, header.Linkname, header.Size = tar.TypeLink, first, 0
			return t.WriteHeader(header)
		}
		t.links[file] = name
	}
	if !info.Mode().IsRegular() {
		return t.WriteHeader(header)
	}
	return t.addFile(header, name)
}

// addFile writes a file with what it holds.
func (t *treeWriter) addFile(header *tar.Header, name string) error {
	// It may have become a FIFO meanwhile, for which nobody should wait.
	f, err := t.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it was replaced while it was read")
	}
	header.Size = info.Size()
	const capability = "security.capability"
	value := make([]byte, 64)
	if n, err := unix.Fgetxattr(int(f.Fd()), capability, value); err == nil {
		header.PAXRecords = map[string]string{"SCHILY.xattr." + capability: string(value[:n])}
	}
	if err := t.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.CopyN(t, f, header.Size)
	if errors.Is(err, io.EOF) {
		err = errors.New("it became shorter while it was read")
	}
	return err
}
