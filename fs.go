package boxlite

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// FS is the files of a box, as its processes see them. It implements [fs.FS] and
// all its extensions that only read, and has the methods of package os that
// write. Names are as io/fs wants them: "etc/passwd", and "." for the root.
//
// Symbolic links are followed within the box. Only regular files and folders can
// be opened: for devices and FIFOs run a command. What is made belongs to the
// box's user; otherwise the methods act as root of the box.
//
// Errors are of type [*fs.PathError], match [fs.ErrNotExist] and its like, and
// have an [*Error] with a kind inside.
type FS struct {
	ctx context.Context
	box *Box
}

var (
	_ fs.FS         = (*FS)(nil)
	_ fs.ReadFileFS = (*FS)(nil)
	_ fs.ReadDirFS  = (*FS)(nil)
	_ fs.StatFS     = (*FS)(nil)
	_ fs.GlobFS     = (*FS)(nil)
	_ fs.ReadLinkFS = (*FS)(nil)
)

// FS returns the box's files. The first use starts the box if need be. When ctx
// ends, so does all that is done with it.
func (b *Box) FS(ctx context.Context) *FS { return &FS{ctx: ctx, box: b} }

// at returns a client and the absolute path of a name.
func (f *FS) at(op, name string) (*filesClient, string, error) {
	if !fs.ValidPath(name) || strings.ContainsRune(name, 0) {
		return nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	c, err := f.box.files(f.ctx)
	if err != nil {
		return nil, "", &fs.PathError{Op: op, Path: name, Err: err}
	}
	return c, path.Join("/", name), nil
}

func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// Open opens a file for reading. The result implements [io.ReaderAt], [io.Seeker]
// and [io.WriterTo], or [fs.ReadDirFile] if it is a folder.
func (f *FS) Open(name string) (fs.File, error) {
	c, full, err := f.at("open", name)
	if err != nil {
		return nil, err
	}
	file, err := c.open(f.ctx, name, &boxlitev1.FileOpen{Path: []byte(full), Read: true})
	if errors.Is(err, unix.EISDIR) {
		info, _, err := c.stat(f.ctx, full, true)
		if err != nil {
			return nil, pathError("open", name, err)
		}
		return &folder{fs: f, name: name, info: renamed(info, name)}, nil
	}
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return file, nil
}

// Stat describes a file. Of a symbolic link, it describes what that points to.
func (f *FS) Stat(name string) (fs.FileInfo, error) { return f.stat("stat", name, true) }

// Lstat describes a file. Of a symbolic link, it describes the link.
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return f.stat("lstat", name, false) }

func (f *FS) stat(op, name string, follow bool) (fs.FileInfo, error) {
	c, full, err := f.at(op, name)
	if err != nil {
		return nil, err
	}
	info, _, err := c.stat(f.ctx, full, follow)
	if err != nil {
		return nil, pathError(op, name, err)
	}
	return renamed(info, name), nil
}

// renamed gives the name by which a file was looked up to what describes it.
func renamed(info fs.FileInfo, name string) fs.FileInfo {
	if i, ok := info.(*fileInfo); ok {
		i.name = path.Base(name)
	}
	return info
}

// ReadLink returns what a symbolic link points to.
func (f *FS) ReadLink(name string) (string, error) {
	c, full, err := f.at("readlink", name)
	if err != nil {
		return "", err
	}
	info, _, err := c.stat(f.ctx, full, false)
	if err != nil {
		return "", pathError("readlink", name, err)
	}
	if info.Mode().Type() != fs.ModeSymlink {
		return "", pathError("readlink", name, fs.ErrInvalid)
	}
	return info.(*fileInfo).target, nil
}

// ReadFile reads a whole file. A large one is better read piece by piece, after
// [FS.Open].
func (f *FS) ReadFile(name string) ([]byte, error) {
	c, full, err := f.at("open", name)
	if err != nil {
		return nil, err
	}
	file, err := c.open(f.ctx, name, &boxlitev1.FileOpen{Path: []byte(full), Read: true})
	if err != nil {
		return nil, pathError("open", name, err)
	}
	defer file.Close()
	var b fileBuffer
	if _, err := file.WriteTo(&b); err != nil {
		return nil, err
	}
	return b.data, nil
}

// fileBuffer is a growing file in memory.
type fileBuffer struct{ data []byte }

func (b *fileBuffer) Write(p []byte) (int, error) {
	b.data = append(b.data, p...)
	return len(p), nil
}

// ReadDir describes what is in a folder, sorted by name.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	c, full, err := f.at("readdir", name)
	if err != nil {
		return nil, err
	}
	entries, err := c.list(f.ctx, full)
	if err != nil {
		return nil, pathError("readdir", name, err)
	}
	return entries, nil
}

// maxEntries bounds what is taken of one folder.
const maxEntries = 1 << 20

func (c *filesClient) list(ctx context.Context, full string) ([]fs.DirEntry, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.agent.List(ctx, &boxlitev1.FileListRequest{Path: []byte(full)})
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	entries := []fs.DirEntry{}
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
			return entries, nil
		}
		if err != nil {
			return nil, c.failed(ctx, err)
		}
		for _, i := range response.GetFiles() {
			info, err := newFileInfo(i)
			if err != nil {
				return nil, err
			}
			entries = append(entries, info)
		}
		if len(entries) > maxEntries {
			return nil, &Error{Kind: ErrResourceExhausted, Err: errors.New("there are too many files in the folder")}
		}
	}
}

// Glob returns the names that match a pattern, as [path.Match] has it.
func (f *FS) Glob(pattern string) ([]string, error) {
	return fs.Glob(struct{ fs.ReadDirFS }{f}, pattern)
}

// folder is an open folder.
type folder struct {
	fs      *FS
	name    string
	info    fs.FileInfo
	entries []fs.DirEntry // those left, once read
	read    bool
	closed  bool
}

var _ fs.ReadDirFile = (*folder)(nil)

func (d *folder) Stat() (fs.FileInfo, error) {
	if d.closed {
		return nil, pathError("stat", d.name, fs.ErrClosed)
	}
	return d.info, nil
}

func (d *folder) Read([]byte) (int, error) { return 0, pathError("read", d.name, unix.EISDIR) }

func (d *folder) Close() error {
	if d.closed {
		return pathError("close", d.name, fs.ErrClosed)
	}
	d.closed = true
	return nil
}

func (d *folder) ReadDir(n int) ([]fs.DirEntry, error) {
	if d.closed {
		return nil, pathError("readdir", d.name, fs.ErrClosed)
	}
	if !d.read {
		entries, err := d.fs.ReadDir(d.name)
		if err != nil {
			return nil, err
		}
		d.entries, d.read = entries, true
	}
	if n <= 0 || n > len(d.entries) {
		if n > 0 && len(d.entries) == 0 {
			return nil, io.EOF
		}
		n = len(d.entries)
	}
	entries := d.entries[:n:n]
	d.entries = d.entries[n:]
	return entries, nil
}
