package files

import (
	"context"
	"errors"
	"io"
	"path"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// chunk is how much of a file one message holds.
const chunk = 128 << 10

// Open opens a file and works on it.
func (s *Service) Open(stream grpc.BidiStreamingServer[boxlitev1.FileRequest, boxlitev1.FileResponse]) error {
	return s.stream(stream.Context(), func(_ context.Context, root Root) error {
		first, err := stream.Recv()
		if err != nil {
			return err
		}
		open := first.GetOpen()
		if open == nil {
			return unix.EINVAL
		}
		fd, err := openFile(root, open)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		f := file{fd: fd, name: path.Base(string(open.GetPath())), append: open.GetAppend(), stream: stream}
		if err := f.stat(); err != nil {
			return err
		}
		for {
			request, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := f.serve(request); err != nil {
				return err
			}
		}
	})
}

// openFile opens a regular file, or makes it.
func openFile(root Root, o *boxlitev1.FileOpen) (int, error) {
	flags := unix.O_RDONLY
	switch {
	case o.GetWrite() && o.GetRead():
		flags = unix.O_RDWR
	case o.GetWrite():
		flags = unix.O_WRONLY
	}
	if o.GetAppend() {
		flags |= unix.O_APPEND
	}
	existing := flags
	if o.GetTruncate() {
		existing |= unix.O_TRUNC
	}
	const attempts = 16 // the container may make and remove the file in turn
	for range attempts {
		if !o.GetCreate() || !o.GetExclusive() {
			fd, err := openRegular(root, string(o.GetPath()), existing)
			if !o.GetCreate() || !errors.Is(err, unix.ENOENT) {
				return fd, err
			}
		}
		fd, err := createFile(root, string(o.GetPath()), flags, o.GetMode())
		if o.GetExclusive() || !errors.Is(err, unix.EEXIST) {
			return fd, err
		}
	}
	return -1, unix.EEXIST
}

func createFile(root Root, name string, flags int, mode uint32) (int, error) {
	if err := checkPath(name); err != nil {
		return -1, err
	}
	uid, gid, err := root.Owner()
	if err != nil {
		return -1, err
	}
	fd, err := root.Open(name, flags|unix.O_CREAT|unix.O_EXCL|unix.O_NOCTTY, mode&0o7777)
	if err != nil {
		return -1, err
	}
	if err := unix.Fchown(fd, int(uid), int(gid)); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// file is a file that a client has opened.
type file struct {
	fd     int
	name   string
	append bool
	stream grpc.BidiStreamingServer[boxlitev1.FileRequest, boxlitev1.FileResponse]
}

// serve answers a request. The error is of the stream; what is wrong with the
// request is in the answer.
func (f *file) serve(r *boxlitev1.FileRequest) error {
	switch kind := r.GetKind().(type) {
	case *boxlitev1.FileRequest_Read:
		return f.read(kind.Read)
	case *boxlitev1.FileRequest_Write:
		return f.answer(f.write(kind.Write))
	case *boxlitev1.FileRequest_Truncate:
		return f.answer(unix.Ftruncate(f.fd, int64(min(kind.Truncate, 1<<63-1))))
	case *boxlitev1.FileRequest_Sync:
		return f.answer(unix.Fsync(f.fd))
	case *boxlitev1.FileRequest_Stat:
		return f.stat()
	}
	return unix.EINVAL
}

func (f *file) answer(err error) error {
	return f.stream.Send(&boxlitev1.FileResponse{Error: errorOf(err), End: true})
}

func errorOf(err error) *boxlitev1.FileError {
	if err == nil {
		return nil
	}
	e := &boxlitev1.FileError{Message: err.Error()}
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		e.Errno = uint32(errno)
	}
	return e
}

func (f *file) stat() error {
	var stat unix.Stat_t
	if err := unix.Fstat(f.fd, &stat); err != nil {
		return f.answer(err)
	}
	return f.stream.Send(&boxlitev1.FileResponse{Info: infoOf(f.name, &stat), End: true})
}

// read answers with as many messages as it takes.
func (f *file) read(r *boxlitev1.FileRead) error {
	offset, left := int64(min(r.GetOffset(), 1<<63-1)), r.GetLength()
	buf := make([]byte, min(left, chunk))
	for {
		n, err := unix.Pread(f.fd, buf[:min(left, uint64(len(buf)))], offset)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		n = max(0, n)
		left -= uint64(n)
		offset += int64(n)
		end := err != nil || n == 0 || left == 0
		if err := f.stream.Send(&boxlitev1.FileResponse{Data: buf[:n], End: end, Error: errorOf(err)}); err != nil {
			return err
		}
		if end {
			return nil
		}
	}
}

func (f *file) write(w *boxlitev1.FileWrite) error {
	offset := int64(min(w.GetOffset(), 1<<63-1))
	for data := w.GetData(); len(data) > 0; {
		var n int
		var err error
		if f.append {
			n, err = unix.Write(f.fd, data)
		} else {
			n, err = unix.Pwrite(f.fd, data, offset)
		}
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		data, offset = data[n:], offset+int64(n)
	}
	return nil
}
