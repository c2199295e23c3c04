package boxlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// endpoint is one end of a copy.
type endpoint struct {
	path   string // without links, if it exists and they are followed
	name   string // its last element; "" for a root
	exists bool
	dir    bool
	// slash says that the path must be a folder.
	slash bool
	// contents is set of a source of which only what is in it is copied.
	contents bool
	// follow is set of a source whose link is to be followed.
	follow bool
}

// target returns the folder to copy into, and the name that the source gets there:
// "" for what is in the source.
func target(from, to endpoint) (dir, as string, err error) {
	switch {
	case to.exists && to.dir && (from.contents || from.name == ""):
		return to.path, "", nil
	case to.exists && to.dir:
		return to.path, from.name, nil
	case to.exists && from.dir:
		return "", "", &Error{
			Kind: ErrInvalidArgument, Err: &fs.PathError{Op: "copy to", Path: to.path, Err: unix.ENOTDIR},
			Hint: "a folder can't take the place of a file: name another target",
		}
	case to.slash && !(from.dir && !to.exists):
		return "", "", &Error{
			Kind: ErrInvalidArgument, Err: &fs.PathError{Op: "copy to", Path: to.path, Err: unix.ENOTDIR},
			Hint: "make the folder first, or leave out the slash at the end",
		}
	case to.name == "":
		return "", "", &fs.PathError{Op: "copy to", Path: to.path, Err: fs.ErrNotExist}
	}
	return filepath.Dir(to.path), to.name, nil
}

// ending tells what the end of a path says about it.
func ending(p string) (slash, contents bool) {
	contents = p == "." || strings.HasSuffix(p, "/.")
	return contents || strings.HasSuffix(p, "/"), contents
}

// hostSource describes what is copied into a box.
func hostSource(p string, o CopyOptions) (endpoint, error) {
	if p == "" {
		return endpoint{}, invalid("", "name a file or folder", errors.New("the path is empty"))
	}
	var e endpoint
	e.slash, e.contents = ending(p)
	full, err := filepath.Abs(p)
	if err != nil {
		return e, err
	}
	e.path, e.name = full, filepath.Base(full)
	info, err := os.Lstat(full)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 && (o.FollowSymlinks || e.slash) {
		if e.path, err = filepath.EvalSymlinks(full); err == nil {
			info, err = os.Lstat(e.path)
		}
	}
	if err != nil {
		return e, err
	}
	return e.asSource(info.IsDir(), o)
}

// asSource completes a source that exists.
func (e endpoint) asSource(dir bool, o CopyOptions) (endpoint, error) {
	e.exists, e.dir = true, dir
	if e.slash && !dir {
		return e, &fs.PathError{Op: "copy", Path: e.path, Err: unix.ENOTDIR}
	}
	e.contents = dir && (e.contents || o.NoIncludeParent || e.name == "/")
	if e.name == "/" {
		e.name = ""
	}
	return e, nil
}

// hostDestination describes what is copied to from a box.
func hostDestination(p string) (endpoint, error) {
	if p == "" {
		return endpoint{}, invalid("", "name a file or folder", errors.New("the target's path is empty"))
	}
	var e endpoint
	e.slash, _ = ending(p)
	full, err := filepath.Abs(p)
	if err != nil {
		return e, err
	}
	e.path, e.name = full, filepath.Base(full)
	info, err := os.Stat(full)
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	if err != nil {
		return e, err
	}
	e.exists, e.dir = true, info.IsDir()
	if e.path, err = filepath.EvalSymlinks(full); err != nil {
		return e, err
	}
	e.name = filepath.Base(e.path)
	return e, nil
}

// boxClean makes a path of the box absolute: docker takes all as such.
func boxClean(p string) string { return path.Join("/", p) }

// boxRaw makes a path of the box absolute, without guessing where ".." leads
// after a link.
func boxRaw(p string) string { return "/" + strings.TrimLeft(p, "/") }

// source describes what is copied out of the box.
func (c *filesClient) source(ctx context.Context, p string, o CopyOptions) (endpoint, error) {
	var e endpoint
	e.slash, e.contents = ending(p)
	e.path = boxRaw(p)
	e.name = path.Base(path.Clean(e.path))
	e.follow = o.FollowSymlinks || e.slash
	info, real, err := c.stat(ctx, e.path, e.follow)
	if err != nil {
		return e, &fs.PathError{Op: "copy", Path: p, Err: err}
	}
	if path.Clean(e.path) == "/.." || strings.HasSuffix(e.path, "/..") {
		e.name = path.Base(real)
	}
	return e.asSource(info.IsDir(), o)
}

// destination describes what is copied to in the box.
func (c *filesClient) destination(ctx context.Context, p string) (endpoint, error) {
	var e endpoint
	e.slash, _ = ending(p)
	e.path = boxRaw(p)
	e.name = path.Base(e.path)
	info, real, err := c.stat(ctx, e.path, true)
	if errors.Is(err, fs.ErrNotExist) {
		e.path = strings.TrimRight(e.path, "/")
		return e, nil
	}
	if err != nil {
		return e, &fs.PathError{Op: "copy to", Path: p, Err: err}
	}
	e.exists, e.dir, e.path, e.name = true, info.IsDir(), real, path.Base(real)
	return e, nil
}
