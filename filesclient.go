package boxlite

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"google.golang.org/grpc"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

const (
	// copyChunk is how much of a tar is sent at once.
	copyChunk = 128 << 10
	// cleanTimeout is how long the agent may take to clean up after a copy that
	// was interrupted.
	cleanTimeout = 5 * time.Second
)

// filesClient works on the files of a running box.
type filesClient struct {
	box   *Box
	run   *run
	agent boxlitev1.FilesClient
}

// files returns a client for the box's files, after starting it if need be.
func (b *Box) files(ctx context.Context) (*filesClient, error) {
	r, err := b.running(ctx)
	if err != nil {
		return nil, err
	}
	return &filesClient{box: b, run: r, agent: boxlitev1.NewFilesClient(r.client.Guest())}, nil
}

// failed explains an error of a call: the box may have ended meanwhile.
func (c *filesClient) failed(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	err = rpc.FromStatus(err)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	closed := errors.Is(err, context.Canceled) // by this Runtime, which knows that the box has ended
	if !closed && !errors.Is(err, ErrRPCTransport) {
		return err
	}
	if err := c.box.rt.check(); err != nil {
		return err
	}
	return c.box.explainLoss(c.run, err, "")
}

// stat describes a file, and returns its path without links if they are followed.
func (c *filesClient) stat(ctx context.Context, path string, follow bool) (fs.FileInfo, string, error) {
	r, err := c.agent.Stat(ctx, &boxlitev1.FileStatRequest{Path: []byte(path), Follow: follow})
	if err != nil {
		return nil, "", c.failed(ctx, err)
	}
	info, err := newFileInfo(r.GetInfo())
	return info, string(r.GetResolved()), err
}

// upload sends the tar that write writes, to be unpacked in a folder of the box.
func (c *filesClient) upload(ctx context.Context, dir string, o CopyOptions, write func(context.Context, io.Writer) error) error {
	// The agent cleans up when the tar ends early. A stream that is just cut is
	// something that nobody waits for.
	streamCtx, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(cleanTimeout, cut) })
	defer stop()
	stream, err := c.agent.Upload(streamCtx)
	if err != nil {
		return c.failed(ctx, err)
	}
	open := &boxlitev1.UploadOpen{Path: []byte(dir), Archive: o.Archive, NoOverwrite: o.NoOverwrite}
	err = stream.Send(&boxlitev1.UploadRequest{Kind: &boxlitev1.UploadRequest_Open{Open: open}})
	if err == nil {
		out := bufio.NewWriterSize(&uploadWriter{stream: stream, progress: o.Progress}, copyChunk)
		if err = write(ctx, out); err == nil {
			err = out.Flush()
		}
	}
	if err == nil {
		err = stream.Send(&boxlitev1.UploadRequest{Kind: &boxlitev1.UploadRequest_End{End: true}})
	}
	_, answer := stream.CloseAndRecv()
	if err != nil && !errors.Is(err, errUpload) && !errors.Is(err, io.EOF) {
		return err // of what was to be sent; the agent only knows that it ended early
	}
	return c.failed(ctx, answer)
}

// errUpload means that the agent takes no more, and its answer says why.
var errUpload = errors.New("the box takes no more")

type uploadWriter struct {
	stream   grpc.ClientStreamingClient[boxlitev1.UploadRequest, boxlitev1.UploadResponse]
	progress func(int64)
	sent     int64
}

func (w *uploadWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), copyChunk)
		err := w.stream.Send(&boxlitev1.UploadRequest{Kind: &boxlitev1.UploadRequest_Data{Data: rest[:n]}})
		if err != nil {
			return 0, errUpload
		}
		rest = rest[n:]
		w.sent += int64(n)
		if w.progress != nil {
			w.progress(w.sent)
		}
	}
	return len(p), nil
}

// download asks for a tar, which read reads.
func (c *filesClient) download(ctx context.Context, r *boxlitev1.DownloadRequest, read func(context.Context, io.Reader) error) error {
	streamCtx, cut := context.WithCancel(ctx)
	defer cut()
	stream, err := c.agent.Download(streamCtx, r)
	if err != nil {
		return c.failed(ctx, err)
	}
	in := &downloadReader{stream: stream}
	err = read(ctx, in)
	if err == nil {
		_, err = io.Copy(io.Discard, in) // up to the agent's word that all went well
	}
	if in.err != nil && !errors.Is(in.err, io.EOF) {
		return c.failed(ctx, in.err)
	}
	return err
}

type downloadReader struct {
	stream grpc.ServerStreamingClient[boxlitev1.DownloadResponse]
	data   []byte
	err    error
}

func (r *downloadReader) Read(p []byte) (int, error) {
	for len(r.data) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		response, err := r.stream.Recv()
		if err != nil {
			r.err = err
			return 0, err
		}
		r.data = response.GetData()
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

// copyContext copies until the end of r, or that of ctx.
func copyContext(ctx context.Context, w io.Writer, r io.Reader) error {
	buf := make([]byte, copyChunk)
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		n, err := r.Read(buf)
		if _, e := w.Write(buf[:n]); e != nil {
			return e
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func countingReader(r io.Reader, progress func(int64)) io.Reader {
	if progress == nil {
		return r
	}
	return &countedReader{r: r, progress: progress}
}

type countedReader struct {
	r        io.Reader
	progress func(int64)
	n        int64
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.progress(c.n)
	return n, err
}
