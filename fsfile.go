package boxlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// File is an open file of a box. Its methods are those of [os.File], and may be
// called concurrently. A file that is not closed takes up a little of the box's
// memory until the context of its [FS] ends.
type File struct {
	name   string
	client *filesClient
	ctx    context.Context
	cut    context.CancelFunc
	append bool

	mu     sync.Mutex // one request at a time
	stream grpc.BidiStreamingClient[boxlitev1.FileRequest, boxlitev1.FileResponse]
	info   fs.FileInfo // when it was opened
	offset int64
	// ahead is what was read after offset, and not yet asked for.
	ahead  []byte
	closed bool
}

var (
	_ fs.File            = (*File)(nil)
	_ io.ReaderAt        = (*File)(nil)
	_ io.WriterAt        = (*File)(nil)
	_ io.ReadWriteSeeker = (*File)(nil)
	_ io.WriterTo        = (*File)(nil)
)

// readAhead is how much is read at least, for those who read in small pieces.
const readAhead = 128 << 10

// open opens a regular file.
func (c *filesClient) open(ctx context.Context, name string, o *boxlitev1.FileOpen) (*File, error) {
	streamCtx, cut := context.WithCancel(ctx)
	stream, err := c.agent.Open(streamCtx)
	f := &File{name: name, client: c, ctx: ctx, cut: cut, append: o.GetAppend(), stream: stream}
	if err == nil {
		var response *boxlitev1.FileResponse
		if response, err = f.ask(&boxlitev1.FileRequest{Kind: &boxlitev1.FileRequest_Open{Open: o}}); err == nil {
			f.info, err = f.newInfo(response)
		}
	} else {
		err = c.failed(ctx, err)
	}
	if err != nil {
		cut()
		return nil, err
	}
	return f, nil
}

func (f *File) newInfo(r *boxlitev1.FileResponse) (fs.FileInfo, error) {
	info, err := newFileInfo(r.GetInfo())
	if err != nil {
		return nil, err
	}
	return renamed(info, f.name), nil
}

// ask sends a request and returns its only answer.
func (f *File) ask(r *boxlitev1.FileRequest) (*boxlitev1.FileResponse, error) {
	if err := f.stream.Send(r); err != nil && !errors.Is(err, io.EOF) {
		return nil, f.client.failed(f.ctx, err)
	}
	return f.answer()
}

// answer returns the next answer.
func (f *File) answer() (*boxlitev1.FileResponse, error) {
	response, err := f.stream.Recv()
	if errors.Is(err, io.EOF) {
		return nil, broken("it ends a file's stream")
	}
	if err != nil {
		return nil, f.client.failed(f.ctx, err)
	}
	if e := response.GetError(); e != nil {
		errno := unix.Errno(e.GetErrno())
		if errno == 0 {
			return nil, &Error{Kind: ErrRPC, Err: fmt.Errorf("%.200s", e.GetMessage())}
		}
		return nil, &Error{Kind: kindOfFile(errno), Err: errno}
	}
	return response, nil
}

// begin takes the file for one operation.
func (f *File) begin(op string) error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return pathError(op, f.name, fs.ErrClosed)
	}
	return nil
}

// Name returns the name by which the file was opened.
func (f *File) Name() string { return f.name }

// Stat describes the file as it is now.
func (f *File) Stat() (fs.FileInfo, error) {
	if err := f.begin("stat"); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	r, err := f.ask(&boxlitev1.FileRequest{Kind: &boxlitev1.FileRequest_Stat{Stat: true}})
	if err != nil {
		return nil, pathError("stat", f.name, err)
	}
	info, err := f.newInfo(r)
	return info, pathError("stat", f.name, err)
}

// Read reads from where the last Read, Write or Seek has ended.
func (f *File) Read(p []byte) (int, error) {
	if err := f.begin("read"); err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	if len(f.ahead) == 0 {
		var buf []byte
		err := f.fetch(f.offset, uint64(max(readAhead, len(p))), func(data []byte) error {
			buf = append(buf, data...)
			return nil
		})
		if err != nil {
			return 0, pathError("read", f.name, err)
		}
		f.ahead = buf
	}
	n := copy(p, f.ahead)
	f.ahead = f.ahead[n:]
	f.offset += int64(n)
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// fetch reads up to length bytes, and passes them on as they come. It never
// leaves an answer unread.
func (f *File) fetch(offset int64, length uint64, take func([]byte) error) error {
	request := &boxlitev1.FileRead{Offset: uint64(offset), Length: length}
	r, err := f.ask(&boxlitev1.FileRequest{Kind: &boxlitev1.FileRequest_Read{Read: request}})
	var failed error
	for {
		if err != nil {
			return err
		}
		n := uint64(len(r.GetData()))
		if n > length {
			return broken("it sends more of a file than was asked for")
		}
		length -= n
		if failed == nil {
			failed = take(r.GetData())
		}
		if r.GetEnd() {
			return failed
		}
		r, err = f.answer()
	}
}

// ReadAt reads len(p) bytes from an offset, or up to the end of the file.
func (f *File) ReadAt(p []byte, offset int64) (int, error) {
	if err := f.begin("read"); err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	if offset < 0 {
		return 0, pathError("read", f.name, unix.EINVAL)
	}
	if len(p) == 0 {
		return 0, nil
	}
	n := 0
	err := f.fetch(offset, uint64(len(p)), func(data []byte) error {
		n += copy(p[n:], data)
		return nil
	})
	if err != nil {
		return n, pathError("read", f.name, err)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteTo writes the rest of the file to w, in one go: io.Copy uses it.
func (f *File) WriteTo(w io.Writer) (int64, error) {
	if err := f.begin("read"); err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	n, err := w.Write(f.ahead)
	f.ahead = nil
	total := int64(n)
	f.offset += total
	if err != nil {
		return total, err
	}
	var failed error
	for {
		// In parts, so that a writer that fails need not wait for all of the file.
		var got int64
		err := f.fetch(f.offset, 64*readAhead, func(data []byte) error {
			got += int64(len(data))
			n, err := w.Write(data)
			total += int64(n)
			failed = err
			return err
		})
		f.offset += got
		if failed != nil {
			return total, failed
		}
		if err != nil || got == 0 {
			return total, pathError("read", f.name, err)
		}
	}
}

// Write writes to where the last Read, Write or Seek has ended, or to the end if
// the file was opened with O_APPEND.
func (f *File) Write(p []byte) (int, error) {
	if err := f.begin("write"); err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	f.ahead = nil
	n, err := f.write(p, f.offset)
	f.offset += int64(n)
	return n, err
}

// WriteAt writes to an offset.
func (f *File) WriteAt(p []byte, offset int64) (int, error) {
	if err := f.begin("write"); err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	if offset < 0 || f.append {
		return 0, pathError("write", f.name, unix.EINVAL)
	}
	f.ahead = nil
	return f.write(p, offset)
}

func (f *File) write(p []byte, offset int64) (int, error) {
	n := 0
	for n < len(p) {
		data := p[n:min(len(p), n+copyChunk)]
		w := &boxlitev1.FileWrite{Offset: uint64(offset) + uint64(n), Data: data}
		if _, err := f.ask(&boxlitev1.FileRequest{Kind: &boxlitev1.FileRequest_Write{Write: w}}); err != nil {
			return n, pathError("write", f.name, err)
		}
		n += len(data)
	}
	return n, nil
}

// Seek sets where the next Read or Write begins.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		info, err := f.Stat()
		if err != nil {
			return 0, err
		}
		offset, whence = offset+info.Size(), io.SeekStart
	}
	if err := f.begin("seek"); err != nil {
		return 0, err
	}
	defer f.mu.Unlock()
	if whence == io.SeekCurrent {
		offset, whence = offset+f.offset, io.SeekStart
	}
	if offset < 0 || whence != io.SeekStart {
		return 0, pathError("seek", f.name, unix.EINVAL)
	}
	if offset != f.offset {
		f.offset, f.ahead = offset, nil
	}
	return offset, nil
}

// Truncate sets the size of the file.
func (f *File) Truncate(size int64) error {
	if size < 0 {
		return pathError("truncate", f.name, unix.EINVAL)
	}
	return f.simple("truncate", &boxlitev1.FileRequest{Kind: &boxlitev1.FileRequest_Truncate{Truncate: uint64(size)}})
}

// Sync returns when all that was written is on the box's disk.
func (f *File) Sync() error {
	return f.simple("sync", &boxlitev1.FileRequest{Kind: &boxlitev1.FileRequest_Sync{Sync: true}})
}

func (f *File) simple(op string, r *boxlitev1.FileRequest) error {
	if err := f.begin(op); err != nil {
		return err
	}
	defer f.mu.Unlock()
	f.ahead = nil
	_, err := f.ask(r)
	return pathError(op, f.name, err)
}

// Close closes the file.
func (f *File) Close() error {
	if err := f.begin("close"); err != nil {
		return err
	}
	defer f.mu.Unlock()
	f.closed = true
	defer f.cut()
	if err := f.stream.CloseSend(); err != nil {
		return pathError("close", f.name, f.client.failed(f.ctx, err))
	}
	if _, err := f.stream.Recv(); !errors.Is(err, io.EOF) {
		return pathError("close", f.name, f.client.failed(f.ctx, err))
	}
	return nil
}
