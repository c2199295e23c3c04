package flatten

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/boxlite-go/boxlite/internal/image/layer"
)

// stream is the flattened image as one tar stream, made while it is read: first
// directories and other files without content, then the content of each layer,
// then hard links.
type stream struct {
	ctx      context.Context
	image    *flattened
	layers   []Layer
	progress func(done, total int64)

	header  bytes.Buffer // not yet read
	content io.Reader    // of the file after the header
	left    int64        // bytes of content not yet read
	padding int64        // zeros after the content

	node, layer, file, link int // the next one of each
	source                  *layerFiles
	done                    int64
	ended                   bool
}

func newStream(ctx context.Context, image *flattened, layers []Layer, progress func(done, total int64)) *stream {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	return &stream{ctx: ctx, image: image, layers: layers, progress: progress}
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	for {
		switch {
		case s.header.Len() > 0:
			return s.header.Read(p)
		case s.left > 0:
			return s.readContent(p)
		case s.padding > 0:
			n := min(int64(len(p)), s.padding)
			clear(p[:n])
			s.padding -= n
			return int(n), nil
		case s.ended:
			return 0, io.EOF
		}
		if err := s.next(); err != nil {
			return 0, err
		}
	}
}

func (s *stream) readContent(p []byte) (int, error) {
	n, err := s.content.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	s.done += int64(n)
	if errors.Is(err, io.EOF) {
		err = nil
		if s.left > 0 && n == 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, s.layers[s.layer].error(err)
}

// next prepares the next member of the stream.
func (s *stream) next() error {
	switch {
	case s.node < len(s.image.nodes):
		n := s.image.nodes[s.node]
		s.node++
		return s.writeHeader(n)
	case s.layer < len(s.layers):
		return s.nextFile()
	case s.link < len(s.image.links):
		l := s.image.links[s.link]
		s.link++
		return s.write(&tar.Header{
			Typeflag: tar.TypeLink, Format: tar.FormatGNU,
			Name: l.parent.path() + "/" + l.name, Linkname: l.target.path(),
		})
	}
	s.ended = true
	s.progress(s.done, s.image.bytes)
	s.header.Write(make([]byte, 1024)) // the mark at the end of a tar stream
	return nil
}

// nextFile moves to the next file of the present layer that is part of the image.
func (s *stream) nextFile() error {
	files := s.image.contents[s.layer]
	for s.file < len(files) && (files[s.file] == nil || !files[s.file].placed) {
		s.file++
	}
	if s.file == len(files) {
		s.close()
		s.layer++
		s.file = 0
		return nil
	}
	err := s.openFile(files[s.file])
	s.file++
	return s.layers[s.layer].error(err)
}

func (s *stream) openFile(n *node) (err error) {
	if s.source == nil {
		if s.source, err = openFiles(s.layers[s.layer]); err != nil {
			return err
		}
	}
	if s.content, err = s.source.seek(s.file, n.size); err != nil {
		return err
	}
	s.progress(s.done, s.image.bytes)
	s.left = n.size
	s.padding = -n.size & 511
	return s.writeHeader(n)
}

func (s *stream) close() {
	if s.source != nil {
		s.source.close()
		s.source = nil
	}
}

func (s *stream) writeHeader(n *node) error {
	h := &tar.Header{
		Name: n.path(), Linkname: n.target, Size: n.size, Mode: int64(n.mode),
		Uid: int(n.uid), Gid: int(n.gid), Devmajor: int64(n.major), Devminor: int64(n.minor),
		Typeflag: [...]byte{
			regular: tar.TypeReg, directory: tar.TypeDir, symlink: tar.TypeSymlink,
			charDevice: tar.TypeChar, blockDevice: tar.TypeBlock, fifo: tar.TypeFifo,
		}[n.kind],
	}
	h.ModTime = diskTime(n.modified)
	h.AccessTime, h.ChangeTime = h.ModTime, h.ModTime
	// The PAX form can say everything, but takes twice as long.
	h.Format = tar.FormatGNU
	if h.ModTime.Nanosecond() != 0 || len(n.xattrs) > 0 {
		h.Format = tar.FormatPAX
	}
	if len(n.xattrs) > 0 {
		h.PAXRecords = make(map[string]string, len(n.xattrs))
		for _, x := range n.xattrs {
			h.PAXRecords[xattrRecord+x.name] = x.value
		}
	}
	return s.write(h)
}

func (s *stream) write(h *tar.Header) error {
	s.header.Reset()
	return tar.NewWriter(&s.header).WriteHeader(h)
}

// path is the node's name from the root, which is ".".
func (n *node) path() string {
	if n.parent == nil {
		return "."
	}
	size := 0
	for d := n; d.parent != nil; d = d.parent {
		size += 1 + len(d.name)
	}
	p := make([]byte, size)
	for d := n; d.parent != nil; d = d.parent {
		size -= len(d.name)
		copy(p[size:], d.name)
		size--
		p[size] = '/'
	}
	return string(p[1:])
}

// diskTime returns the time whose seconds, cut to 34 bits, are ext4's encoding of
// t: the low 32 bits are signed, and the two above count what that leaves out
// ("Inode Timestamps" in the kernel's description of ext4). The writer stores
// the seconds as they are, which is the same only from 1970 to 2038.
func diskTime(t time.Time) time.Time {
	if t.IsZero() {
		return time.Unix(0, 0)
	}
	const first, last = -1 << 31, 0x27fffffff // 1901 to 2310
	seconds, nanoseconds := t.Unix(), int64(t.Nanosecond())
	if seconds < first || seconds > last {
		seconds, nanoseconds = min(max(seconds, first), last), 0
	}
	epoch := (seconds - int64(int32(seconds))) >> 32
	return time.Unix(seconds&0xffffffff|epoch<<32, nanoseconds)
}

// layerFiles walks through the files with content of one layer.
type layerFiles struct {
	file   io.ReadCloser
	stream *layer.Reader
	tar    *tar.Reader
	next   int
}

func openFiles(l Layer) (*layerFiles, error) {
	file, err := l.Open()
	if err != nil {
		return nil, err
	}
	stream, err := layer.NewReader(file)
	if err != nil {
		file.Close()
		return nil, err
	}
	return &layerFiles{file: file, stream: stream, tar: tar.NewReader(stream)}, nil
}

// seek goes forward to the file with the given number, and returns its content.
func (f *layerFiles) seek(number int, size int64) (io.Reader, error) {
	for {
		header, err := f.tar.Next()
		if err != nil {
			return nil, fmt.Errorf("read tar again: %w", err)
		}
		if header.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if a := (attributes{kind: kinds[header.Typeflag], size: header.Size}); !a.hasContent() {
			continue
		}
		if f.next++; f.next <= number {
			continue
		}
		if header.Size != size {
			return nil, errors.New("the layer changed while it was read")
		}
		return f.tar, nil
	}
}

func (f *layerFiles) close() {
	f.stream.Close()
	f.file.Close()
}
