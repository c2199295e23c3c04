package files

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

const (
	// watchEvents are those that tell of changes.
	watchEvents = unix.IN_CREATE | unix.IN_DELETE | unix.IN_DELETE_SELF | unix.IN_MODIFY | unix.IN_ATTRIB |
		unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_MOVE_SELF
	// maxWatches is how many folders one Watch may look at.
	maxWatches = 8 << 10
)

// Watch tells what happens to files.
func (s *Service) Watch(r *boxlitev1.FileWatchRequest, stream grpc.ServerStreamingServer[boxlitev1.FileWatchResponse]) error {
	return s.stream(stream.Context(), func(ctx context.Context, root Root) error {
		w, err := newWatcher(root, r)
		if err != nil {
			return err
		}
		defer w.close()
		stop := context.AfterFunc(ctx, func() { _ = w.events.Close() }) // which ends a Read
		defer stop()
		if err := stream.Send(&boxlitev1.FileWatchResponse{}); err != nil {
			return err
		}
		buf := make([]byte, 64<<10)
		for {
			n, err := w.events.Read(buf)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				return err
			}
			if err := w.each(buf[:n], stream.Send); err != nil {
				return err
			}
		}
	})
}

// watcher is an inotify instance, and the paths that its watches stand for.
type watcher struct {
	events    *os.File
	top       int // the watched file, open
	recursive bool
	paths     map[int32]string // relative to top
}

func newWatcher(root Root, r *boxlitev1.FileWatchRequest) (*watcher, error) {
	top, err := look(root, string(r.GetPath()), 0)
	if err != nil {
		return nil, err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		_ = unix.Close(top)
		return nil, err
	}
	w := &watcher{
		events: os.NewFile(uintptr(fd), "inotify"), top: top, recursive: r.GetRecursive(), paths: make(map[int32]string),
	}
	if err := w.add("", 0); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *watcher) close() {
	_ = w.events.Close()
	_ = unix.Close(w.top)
}

// add watches a file, and the folders in it if that is wanted.
func (w *watcher) add(name string, depth int) error {
	fd, err := w.open(name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if len(w.paths) >= maxWatches || depth > maxDepth {
		return &protocol.Error{
			Kind: protocol.KindResourceExhausted, Err: errors.New("there are too many folders to watch"),
			Hint: "watch a smaller part of the tree",
		}
	}
	raw, err := w.events.SyscallConn()
	if err != nil {
		return err
	}
	var wd int
	if e := raw.Control(func(events uintptr) {
		wd, err = unix.InotifyAddWatch(int(events), itself(fd), watchEvents)
	}); e != nil {
		return e
	}
	if err != nil {
		return err
	}
	w.paths[int32(wd)] = name
	if !w.recursive {
		return nil
	}
	return w.addFolders(fd, name, depth)
}

// addFolders watches the folders in an open one, if it is one.
func (w *watcher) addFolders(fd int, name string, depth int) error {
	read, err := unix.Open(itself(fd), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	folder := os.NewFile(uintptr(read), name)
	defer folder.Close()
	for {
		entries, err := folder.ReadDir(listBatch)
		for _, e := range entries {
			if !e.IsDir() {
				continue
			}
			if err := w.add(path.Join(name, e.Name()), depth+1); err != nil && !gone(err) {
				return err
			}
		}
		if err != nil {
			return nil // the end, or the folder is gone
		}
	}
}

// open opens what a path relative to the watched file stands for. It follows no
// link: where that leads is not below.
func (w *watcher) open(name string) (int, error) {
	if name == "" {
		return unix.FcntlInt(uintptr(w.top), unix.F_DUPFD_CLOEXEC, 0)
	}
	return unix.Openat2(w.top, name, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
}

// gone reports whether a folder was removed, or replaced, before it was watched.
func gone(err error) bool {
	for _, e := range []error{unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EAGAIN} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// each sends the events in buf (struct inotify_event).
func (w *watcher) each(buf []byte, send func(*boxlitev1.FileWatchResponse) error) error {
	const size = unix.SizeofInotifyEvent
	for len(buf) >= size {
		wd := int32(binary.NativeEndian.Uint32(buf))
		mask, cookie := binary.NativeEndian.Uint32(buf[4:]), binary.NativeEndian.Uint32(buf[8:])
		length := binary.NativeEndian.Uint32(buf[12:])
		name, _, _ := bytes.Cut(buf[size:size+length], []byte{0})
		buf = buf[size+length:]
		if mask&unix.IN_IGNORED != 0 {
			delete(w.paths, wd)
			continue
		}
		below, known := w.paths[wd]
		if !known && mask&unix.IN_Q_OVERFLOW == 0 {
			continue
		}
		// Of what happens to a folder in a watched one, that tells, too.
		if mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF) != 0 && below != "" {
			continue
		}
		full := path.Join(below, string(name))
		if w.recursive && mask&unix.IN_ISDIR != 0 && mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0 {
			if err := w.add(full, 0); err != nil && !gone(err) {
				return err
			}
		}
		if err := send(&boxlitev1.FileWatchResponse{Path: []byte(full), Mask: mask, Cookie: cookie}); err != nil {
			return err
		}
	}
	return nil
}
