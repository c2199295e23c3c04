package files

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/protocol/archive"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// agentUmask is the umask that the kernel starts the agent with.
const agentUmask = 0o022

// Upload unpacks a tar.
func (s *Service) Upload(stream grpc.ClientStreamingServer[boxlitev1.UploadRequest, boxlitev1.UploadResponse]) error {
	return s.copy(stream.Context(), func(ctx context.Context, root Root) error {
		first, err := stream.Recv()
		if err != nil {
			return err
		}
		open := first.GetOpen()
		if open == nil {
			return unix.EINVAL
		}
		folder, err := openFolder(root, string(open.GetPath()))
		if err != nil {
			return &protocol.Error{
				Kind: kindOf(err), Err: &os.PathError{Op: "copy to", Path: string(open.GetPath()), Err: err},
				Hint: "copy into a folder that exists in the box",
			}
		}
		defer folder.Close()
		uid, gid, err := root.Owner()
		if err != nil {
			return err
		}
		options := archive.UnpackOptions{
			Archive: open.GetArchive(), NoOverwrite: open.GetNoOverwrite(), SetID: true,
			UID: int(uid), GID: int(gid), Umask: agentUmask,
		}
		if uid == 0 && gid == 0 {
			options.UID, options.GID = -1, -1 // as they are made
		}
		r := &uploadReader{stream: stream}
		done, err := archive.Unpack(ctx, r, int(folder.Fd()), options)
		if err == nil {
			_, err = io.Copy(io.Discard, r) // what follows the tar, such as padding
		}
		if err != nil {
			return refused(err)
		}
		return stream.SendAndClose(&boxlitev1.UploadResponse{Files: uint64(done.Files), Bytes: uint64(done.Bytes)})
	})
}

// refused explains the errors of package archive.
func refused(err error) error {
	kind, hint := kindOf(err), ""
	switch {
	case errors.Is(err, archive.ErrSpecial):
		kind, hint = protocol.KindInvalidArgument, "copy it as an archive, with --archive or CopyOptions.Archive"
	case errors.Is(err, archive.ErrOutside):
		kind = protocol.KindInvalidArgument
	case errors.Is(err, unix.EBUSY):
		hint = "something is mounted there: write to it with a command that runs in the box"
	case errors.Is(err, unix.EEXIST):
		hint = "leave out --no-overwrite, or CopyOptions.NoOverwrite, to replace it"
	}
	return &protocol.Error{Kind: kind, Err: err, Hint: hint}
}

// uploadReader reads what a client sends. A stream that just breaks off has no
// end of file.
type uploadReader struct {
	stream grpc.ClientStreamingServer[boxlitev1.UploadRequest, boxlitev1.UploadResponse]
	data   []byte
	end    bool
}

func (r *uploadReader) Read(p []byte) (int, error) {
	for len(r.data) == 0 {
		if r.end {
			return 0, io.EOF
		}
		request, err := r.stream.Recv()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		r.data, r.end = request.GetData(), request.GetEnd()
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

// Download packs a file or folder as a tar.
func (s *Service) Download(r *boxlitev1.DownloadRequest, stream grpc.ServerStreamingServer[boxlitev1.DownloadResponse]) error {
	return s.copy(stream.Context(), func(ctx context.Context, root Root) error {
		if bytes.ContainsRune(r.GetAs(), '/') {
			return unix.EINVAL
		}
		dir, name, err := locate(root, string(r.GetPath()), r.GetFollow() || len(r.GetAs()) == 0)
		if err != nil {
			return err
		}
		defer unix.Close(dir)
		out := bufio.NewWriterSize(downloadWriter{stream}, chunk)
		if err := archive.Pack(ctx, out, dir, name, string(r.GetAs()), archive.PackOptions{Skip: skipper(root)}); err != nil {
			return err
		}
		return out.Flush()
	})
}

// locate opens the folder of a file, and returns the file's name in it. The root
// is "." in itself.
func locate(root Root, name string, follow bool) (dir int, base string, err error) {
	if follow {
		fd, err := look(root, name, 0)
		if err != nil {
			return -1, "", err
		}
		var stat unix.Stat_t
		if err := unix.Fstat(fd, &stat); err != nil || stat.Mode&unix.S_IFMT == unix.S_IFDIR {
			return fd, ".", err
		}
		real, err := resolved(root, fd)
		_ = unix.Close(fd)
		if err != nil {
			return -1, "", err
		}
		name = real
	}
	if path.Clean(name) == "/" {
		dir, err := look(root, "/", unix.O_DIRECTORY)
		return dir, ".", err
	}
	return parent(root, name)
}

// skipper returns a function that knows the file systems in which there are no
// files to copy, but views of the kernel, and devices.
func skipper(root Root) func(int, *unix.Stat_t) bool {
	var dev unix.Stat_t
	if fd, err := look(root, "/dev", unix.O_DIRECTORY|unix.O_NOFOLLOW); err == nil {
		_ = unix.Fstat(fd, &dev) // or nothing is skipped for it
		_ = unix.Close(fd)
	}
	return func(folder int, stat *unix.Stat_t) bool {
		var fs unix.Statfs_t
		if err := unix.Fstatfs(folder, &fs); err != nil {
			return false
		}
		switch fs.Type {
		case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEVPTS_SUPER_MAGIC, mqueueMagic:
			return true
		}
		return dev.Dev != 0 && stat.Dev == dev.Dev
	}
}

// mqueueMagic is the kernel's MQUEUE_MAGIC.
const mqueueMagic = 0x19800202

// downloadWriter sends what is written.
type downloadWriter struct {
	stream grpc.ServerStreamingServer[boxlitev1.DownloadResponse]
}

func (w downloadWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), chunk)
		if err := w.stream.Send(&boxlitev1.DownloadResponse{Data: rest[:n]}); err != nil {
			return 0, fmt.Errorf("send: %w", err)
		}
		rest = rest[n:]
	}
	return len(p), nil
}
