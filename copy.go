package boxlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/audit"
	"github.com/boxlite-go/boxlite/internal/protocol/archive"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// CopyOptions say how to copy files. The zero value does what docker cp does.
type CopyOptions struct {
	// Archive keeps owners, set-ID bits and capabilities as they are, and copies
	// devices and FIFOs, which are an error otherwise. Out of a box, that takes
	// root on the host, and trust in what is copied. Without it, files that are
	// copied in belong to the box's user, those copied out to this process's.
	Archive bool
	// FollowSymlinks copies, if the source is a symbolic link, what it points to.
	// Links within a folder are copied as links.
	FollowSymlinks bool
	// NoOverwrite makes it an error, of kind [ErrAlreadyExists], if a file that is
	// copied exists. Folders may.
	NoOverwrite bool
	// NoIncludeParent copies what is in a folder, as if the source ended in "/.".
	NoIncludeParent bool
	// Progress, if not nil, is called now and then, by one goroutine, with the
	// number of bytes that are copied so far.
	Progress func(bytes int64)
}

// CopyIn copies a file or folder of the host into the box, and starts the box if
// need be. Both paths are read as docker cp does:
//
//   - A folder that exists at boxPath gets what is copied, under its name. If
//     hostPath ends in "/.", it gets what is in that folder.
//   - Else boxPath becomes the new name. The folder above it must exist.
//   - A file replaces a file, but neither a folder a file nor the other way round.
//
// Modes, times, extended attributes, hard links and holes are kept; for owners see
// [CopyOptions.Archive]. The box's own mounts, such as /dev/shm, are copied to as
// its processes see them. Each file appears when it is complete: an interrupted
// copy leaves some files, but none half written.
func (b *Box) CopyIn(ctx context.Context, hostPath, boxPath string, o CopyOptions) error {
	err := b.copyIn(ctx, hostPath, boxPath, o)
	return b.copyFailed(fmt.Sprintf("copy %.200q into the box", hostPath), err)
}

func (b *Box) copyIn(ctx context.Context, hostPath, boxPath string, o CopyOptions) error {
	from, err := hostSource(hostPath, o)
	if err != nil {
		return err
	}
	c, err := b.copier(ctx, audit.CopiedIn, hostPath, boxPath)
	if err != nil {
		return err
	}
	to, err := c.destination(ctx, boxPath)
	if err != nil {
		return err
	}
	dir, as, err := target(from, to)
	if err != nil {
		return err
	}
	folder, err := openHostFolder(filepath.Dir(from.path))
	if err != nil {
		return err
	}
	defer unix.Close(folder)
	return c.upload(ctx, dir, o, func(ctx context.Context, w io.Writer) error {
		return archive.Pack(ctx, w, folder, filepath.Base(from.path), as, archive.PackOptions{})
	})
}

// CopyOut copies a file or folder of the box to the host. What [Box.CopyIn] says
// holds here, too. What is copied can't lead out of where it is copied to, and
// sockets, and what is in file systems like /proc, is left out.
func (b *Box) CopyOut(ctx context.Context, boxPath, hostPath string, o CopyOptions) error {
	err := b.copyOut(ctx, boxPath, hostPath, o)
	return b.copyFailed(fmt.Sprintf("copy %.200q out of the box", boxPath), err)
}

func (b *Box) copyOut(ctx context.Context, boxPath, hostPath string, o CopyOptions) error {
	c, err := b.copier(ctx, audit.CopiedOut, hostPath, boxPath)
	if err != nil {
		return err
	}
	from, err := c.source(ctx, boxPath, o)
	if err != nil {
		return err
	}
	to, err := hostDestination(hostPath)
	if err != nil {
		return err
	}
	dir, as, err := target(from, to)
	if err != nil {
		return err
	}
	folder, err := openHostFolder(dir)
	if err != nil {
		return err
	}
	defer unix.Close(folder)
	request := &boxlitev1.DownloadRequest{Path: []byte(from.path), As: []byte(as), Follow: from.follow}
	return c.download(ctx, request, func(ctx context.Context, r io.Reader) error {
		_, err := archive.Unpack(ctx, r, folder, archive.UnpackOptions{
			Archive: o.Archive, UID: -1, GID: -1, NoOverwrite: o.NoOverwrite, Only: as, Umask: 0o777, Progress: o.Progress,
		})
		return err
	})
}

// CopyTarIn unpacks a tar, which must not be compressed, in a folder of the box
// that exists. Of the options, Archive, NoOverwrite and Progress count.
func (b *Box) CopyTarIn(ctx context.Context, r io.Reader, boxDir string, o CopyOptions) error {
	c, err := b.copier(ctx, audit.CopiedIn, "", boxDir)
	if err == nil {
		err = c.upload(ctx, boxClean(boxDir), o, func(ctx context.Context, w io.Writer) error {
			return copyContext(ctx, w, r)
		})
	}
	return b.copyFailed("copy a tar into the box", err)
}

// CopyTarOut writes a tar of a file or folder of the box. Names in it begin with
// the name of that, unless boxPath ends in "/." or NoIncludeParent is set. Of the
// other options, FollowSymlinks and Progress count. The tar is in PAX format, and
// sparse files in it are as GNU tar writes them.
func (b *Box) CopyTarOut(ctx context.Context, boxPath string, w io.Writer, o CopyOptions) error {
	err := b.copyTarOut(ctx, boxPath, w, o)
	return b.copyFailed(fmt.Sprintf("copy %.200q out of the box", boxPath), err)
}

func (b *Box) copyTarOut(ctx context.Context, boxPath string, w io.Writer, o CopyOptions) error {
	c, err := b.copier(ctx, audit.CopiedOut, "", boxPath)
	if err != nil {
		return err
	}
	from, err := c.source(ctx, boxPath, o)
	if err != nil {
		return err
	}
	request := &boxlitev1.DownloadRequest{Path: []byte(from.path), As: []byte(from.name), Follow: from.follow}
	if from.contents {
		request.As = nil
	}
	return c.download(ctx, request, func(ctx context.Context, r io.Reader) error {
		return copyContext(ctx, w, countingReader(r, o.Progress))
	})
}

// copyFailed makes an error of a copy one of this package.
func (b *Box) copyFailed(op string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Op != "" {
		return err // it says itself what was tried
	}
	hint := HintOf(err)
	switch {
	case hint != "":
	case errors.Is(err, archive.ErrSpecial):
		hint = "copy it as an archive, with --archive or CopyOptions.Archive"
	case errors.Is(err, unix.EEXIST):
		hint = "leave out --no-overwrite, or CopyOptions.NoOverwrite, to replace it"
	case errors.Is(err, unix.EPERM):
		hint = "to keep owners, or make devices, needs root on the host; without --archive it is not needed"
	}
	return &Error{Kind: kindOfFile(err), Op: op, Box: b.config.Label(), Hint: hint, Err: plain(err)}
}

// plain drops what a caller's error adds to say what this one does.
func plain(err error) error {
	if e, ok := err.(*Error); ok && e.Op == "" && e.Err != nil {
		return e.Err
	}
	return err
}

// kindOfFile is the kind of an error from working on files.
func kindOfFile(err error) Kind {
	_, ours := errors.AsType[*Error](err)
	switch {
	case ours || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return kindOfCause(err)
	case errors.Is(err, os.ErrNotExist):
		return ErrNotFound
	case errors.Is(err, os.ErrExist):
		return ErrAlreadyExists
	case errors.Is(err, archive.ErrOutside), errors.Is(err, archive.ErrSpecial), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EISDIR):
		return ErrInvalidArgument
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return ErrResourceExhausted
	}
	return ErrStorage
}

// copier returns what copies to or from the running box, after recording that.
func (b *Box) copier(ctx context.Context, event audit.Type, hostPath, boxPath string) (*filesClient, error) {
	if boxPath == "" || strings.ContainsRune(boxPath, 0) {
		return nil, invalid("", "name a file or folder of the box, such as /root", errors.New("there is no path in the box"))
	}
	c, err := b.files(ctx)
	if err != nil {
		return nil, err
	}
	e := audit.Event{Type: event, Box: b.config.ID, Name: b.config.Name, HostPath: hostPath, BoxPath: boxPath}
	return c, b.rt.log.Append(e)
}

func openHostFolder(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}
