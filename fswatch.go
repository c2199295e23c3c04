package boxlite

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"path"
	"strings"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// FileOp says what happened to a file. Several may have happened at once.
type FileOp uint32

// What happens to files.
const (
	FileCreated FileOp = 1 << iota
	// FileModified files were written to, or their size was changed.
	FileModified
	FileDeleted
	// FileMovedFrom and FileMovedTo are the two halves of a move within what is
	// watched, and have the same [FileEvent.Cookie].
	FileMovedFrom
	FileMovedTo
	// FileAttributes means permissions, owner, times, attributes or names.
	FileAttributes
	// FileOverflow means that events were lost, as more happened than could be
	// told: look at everything anew.
	FileOverflow
)

var fileOps = []struct {
	op   FileOp
	name string
	mask uint32 // of inotify(7)
}{
	{FileCreated, "create", 0x100},
	{FileModified, "modify", 0x2},
	{FileDeleted, "delete", 0x200 | 0x400},
	{FileMovedFrom, "moved-from", 0x40 | 0x800},
	{FileMovedTo, "moved-to", 0x80},
	{FileAttributes, "attributes", 0x4},
	{FileOverflow, "overflow", 0x4000},
}

// isFolder is IN_ISDIR.
const isFolder = 0x40000000

// Has reports whether all of what happened in ops did.
func (o FileOp) Has(ops FileOp) bool { return o&ops == ops }

// String returns names such as "create", joined by "|".
func (o FileOp) String() string {
	var names []string
	for _, f := range fileOps {
		if o.Has(f.op) {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, "|")
}

// FileEvent is something that happened to a file.
type FileEvent struct {
	// Name is the file's name in the FS; empty for FileOverflow.
	Name string
	Op   FileOp
	// Dir says that it is a folder.
	Dir bool
	// Cookie joins the two events of a move; 0 for others.
	Cookie uint32
}

// WatchOptions say what to watch.
type WatchOptions struct {
	// Recursive also watches all folders below, and those that come to be. Of such
	// a folder, what happened before it was noticed is missed.
	Recursive bool
	// Ready, if not nil, is called once when nothing will be missed any more.
	Ready func()
}

// Watch tells what happens to a file, or to the files in a folder, from now on
// until ctx ends or the loop is left. After an error, which the end of ctx is
// not, there are no more events.
//
//	for event, err := range box.FS(ctx).Watch(ctx, "etc", boxlite.WatchOptions{}) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(event.Op, event.Name)
//	}
func (f *FS) Watch(ctx context.Context, name string, o WatchOptions) iter.Seq2[FileEvent, error] {
	return func(yield func(FileEvent, error) bool) {
		err := f.watch(ctx, name, o, func(e FileEvent) bool { return yield(e, nil) })
		if err != nil && ctx.Err() == nil {
			yield(FileEvent{}, pathError("watch", name, err))
		}
	}
}

func (f *FS) watch(ctx context.Context, name string, o WatchOptions, yield func(FileEvent) bool) error {
	c, full, err := f.at("watch", name)
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			return e.Err
		}
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(f.ctx, cancel)
	defer stop()
	stream, err := c.agent.Watch(ctx, &boxlitev1.FileWatchRequest{Path: []byte(full), Recursive: o.Recursive})
	for first := true; ; first = false {
		var r *boxlitev1.FileWatchResponse
		if err == nil {
			r, err = stream.Recv()
		}
		switch {
		case errors.Is(err, io.EOF):
			return broken("it ends a watch")
		case err != nil:
			return c.failed(ctx, err)
		case first:
			if o.Ready != nil {
				o.Ready()
			}
		default:
			if e, ok := eventOfFile(name, r); ok && !yield(e) {
				return nil
			}
		}
	}
}

func eventOfFile(name string, r *boxlitev1.FileWatchResponse) (FileEvent, bool) {
	e := FileEvent{Dir: r.GetMask()&isFolder != 0, Cookie: r.GetCookie()}
	for _, f := range fileOps {
		if r.GetMask()&f.mask != 0 {
			e.Op |= f.op
		}
	}
	if e.Op.Has(FileOverflow) {
		return FileEvent{Op: FileOverflow}, true
	}
	e.Name = path.Join(name, path.Join("/", string(r.GetPath())))
	return e, e.Op != 0
}
