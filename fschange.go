package boxlite

import (
	"io/fs"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// Create makes a file, or empties one that exists, for reading and writing.
func (f *FS) Create(name string) (*File, error) {
	return f.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666&^guestUmask)
}

// guestUmask is what new files don't permit, unless their mode was given.
const guestUmask = 0o022

// OpenFile opens a file as [os.OpenFile] does. A file that it makes has exactly
// the permissions perm, but for what the guest's umask of 022 takes away.
func (f *FS) OpenFile(name string, flag int, perm fs.FileMode) (*File, error) {
	c, full, err := f.at("open", name)
	if err != nil {
		return nil, err
	}
	access := flag & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)
	file, err := c.open(f.ctx, name, &boxlitev1.FileOpen{
		Path: []byte(full), Read: access != os.O_WRONLY, Write: access != os.O_RDONLY,
		Append: flag&os.O_APPEND != 0, Create: flag&os.O_CREATE != 0, Exclusive: flag&os.O_EXCL != 0,
		Truncate: flag&os.O_TRUNC != 0, Mode: guestMode(perm),
	})
	return file, pathError("open", name, err)
}

// WriteFile writes data to a file, which is made or emptied before.
func (f *FS) WriteFile(name string, data []byte, perm fs.FileMode) error {
	file, err := f.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if e := file.Close(); err == nil {
		err = e
	}
	return err
}

// change asks for a change, whose kind is set already.
func (f *FS) change(op, name string, r *boxlitev1.FileChangeRequest) error {
	c, full, err := f.at(op, name)
	if err != nil {
		return err
	}
	r.Path = []byte(full)
	_, err = c.agent.Change(f.ctx, r)
	return pathError(op, name, c.failed(f.ctx, err))
}

// Mkdir makes a folder.
func (f *FS) Mkdir(name string, perm fs.FileMode) error {
	return f.change("mkdir", name, &boxlitev1.FileChangeRequest{Kind: &boxlitev1.FileChangeRequest_Mkdir{Mkdir: guestMode(perm)}})
}

// MkdirAll makes a folder and those above it, unless they are there.
func (f *FS) MkdirAll(name string, perm fs.FileMode) error {
	return f.change("mkdir", name, &boxlitev1.FileChangeRequest{Kind: &boxlitev1.FileChangeRequest_MkdirAll{MkdirAll: guestMode(perm)}})
}

// Remove removes a file or an empty folder.
func (f *FS) Remove(name string) error {
	return f.change("remove", name, &boxlitev1.FileChangeRequest{Kind: &boxlitev1.FileChangeRequest_Remove{Remove: true}})
}

// RemoveAll removes a file, or a folder with all that is in it. One that isn't
// there is no error.
func (f *FS) RemoveAll(name string) error {
	return f.change("removeall", name, &boxlitev1.FileChangeRequest{Kind: &boxlitev1.FileChangeRequest_RemoveAll{RemoveAll: true}})
}

// Rename moves a file or folder. A file at newname is replaced.
func (f *FS) Rename(oldname, newname string) error {
	to, err := inBox("rename", newname)
	if err != nil {
		return err
	}
	return f.change("rename", oldname, &boxlitev1.FileChangeRequest{Kind: &boxlitev1.FileChangeRequest_Rename{Rename: []byte(to)}})
}

// Link makes newname another name for a file.
func (f *FS) Link(oldname, newname string) error {
	from, err := inBox("link", oldname)
	if err != nil {
		return err
	}
	return f.change("link", newname, &boxlitev1.FileChangeRequest{Kind: &boxlitev1.FileChangeRequest_Link{Link: []byte(from)}})
}

func inBox(op, name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return path.Join("/", name), nil
}

// Symlink makes a symbolic link to target, which is written into it as it is.
func (f *FS) Symlink(target, name string) error {
	return f.change("symlink", name, &boxlitev1.FileChangeRequest{Kind: &boxlitev1.FileChangeRequest_Symlink{Symlink: []byte(target)}})
}

// Chmod sets the permissions of a file.
func (f *FS) Chmod(name string, mode fs.FileMode) error {
	return f.change("chmod", name, &boxlitev1.FileChangeRequest{Kind: &boxlitev1.FileChangeRequest_Chmod{Chmod: guestMode(mode)}})
}

// Chown sets the owner and group of a file; -1 leaves one as it is.
func (f *FS) Chown(name string, uid, gid int) error { return f.chown("chown", name, uid, gid, false) }

// Lchown is Chown that sets those of a symbolic link itself.
func (f *FS) Lchown(name string, uid, gid int) error { return f.chown("lchown", name, uid, gid, true) }

func (f *FS) chown(op, name string, uid, gid int, link bool) error {
	owner := &boxlitev1.FileOwner{Uid: int64(uid), Gid: int64(gid)}
	return f.change(op, name, &boxlitev1.FileChangeRequest{Kind: &boxlitev1.FileChangeRequest_Chown{Chown: owner}, NoFollow: link})
}

// Chtimes sets the times of a file; the zero time leaves one as it is.
func (f *FS) Chtimes(name string, atime, mtime time.Time) error {
	times := &boxlitev1.FileTimes{Accessed: fileTime(atime), Modified: fileTime(mtime)}
	return f.change("chtimes", name, &boxlitev1.FileChangeRequest{Kind: &boxlitev1.FileChangeRequest_Chtimes{Chtimes: times}})
}

func fileTime(t time.Time) *boxlitev1.FileTime {
	if t.IsZero() {
		return nil
	}
	return &boxlitev1.FileTime{Seconds: t.Unix(), Nanos: uint32(t.Nanosecond())}
}

// Truncate sets the size of a file.
func (f *FS) Truncate(name string, size int64) error {
	if size < 0 {
		return pathError("truncate", name, unix.EINVAL)
	}
	return f.change("truncate", name, &boxlitev1.FileChangeRequest{Kind: &boxlitev1.FileChangeRequest_Truncate{Truncate: uint64(size)}})
}
