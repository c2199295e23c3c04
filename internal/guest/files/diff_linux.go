package files

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// Diff tells what differs from the image.
func (s *Service) Diff(_ *boxlitev1.DiffRequest, stream grpc.ServerStreamingServer[boxlitev1.DiffResponse]) error {
	return s.copy(stream.Context(), func(ctx context.Context, _ Root) error {
		d := differ{ctx: ctx, send: stream.Send}
		t, err := openTrees(s.layers)
		if err != nil {
			return err
		}
		defer t.close()
		if err := d.changed(t, "", nil, 0); err != nil {
			return err
		}
		return d.flush()
	})
}

// trees are the same folder of the upper layer, the image, and both merged. What
// a folder lacks is nil.
type trees struct{ upper, image, merged *os.File }

func openTrees(l Layers) (t trees, err error) {
	for path, f := range map[string]**os.File{l.Upper: &t.upper, l.Image: &t.image, l.Merged: &t.merged} {
		if *f, err = os.OpenFile(path, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0); err != nil {
			t.close()
			return t, err
		}
	}
	return t, nil
}

func (t trees) close() {
	for _, f := range []*os.File{t.upper, t.image, t.merged} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// enter opens a folder in all trees that have it.
func (t trees) enter(name string) (below trees, err error) {
	for _, f := range []struct{ from, to **os.File }{
		{&t.upper, &below.upper}, {&t.image, &below.image}, {&t.merged, &below.merged},
	} {
		if *f.from == nil {
			continue
		}
		fd, err := unix.Openat(int((*f.from).Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			continue
		}
		if err != nil {
			below.close()
			return trees{}, err
		}
		*f.to = os.NewFile(uintptr(fd), name)
	}
	return below, nil
}

// differ walks through the upper layer, in which only what was changed is.
type differ struct {
	ctx   context.Context
	send  func(*boxlitev1.DiffResponse) error
	batch []*boxlitev1.FileDifference
}

const (
	changed = boxlitev1.FileDifference_CHANGED
	added   = boxlitev1.FileDifference_ADDED
	deleted = boxlitev1.FileDifference_DELETED
)

func (d *differ) tell(kind boxlitev1.FileDifference_Kind, path string) error {
	d.batch = append(d.batch, &boxlitev1.FileDifference{Kind: kind, Path: []byte(path)})
	if len(d.batch) < listBatch {
		return context.Cause(d.ctx)
	}
	return d.flush()
}

func (d *differ) flush() error {
	batch := d.batch
	d.batch = nil
	if len(batch) == 0 {
		return nil
	}
	return d.send(&boxlitev1.DiffResponse{Differences: batch})
}

// ours are the files that the agent makes for its mounts, if the image lacks them.
var ours = map[string]bool{
	"/dev": true, "/proc": true, "/sys": true,
	"/etc/hosts": true, "/etc/hostname": true, "/etc/resolv.conf": true, "/run/boxlite": true,
}

// changed compares a folder that is in the upper layer and in the image. Before
// the first difference in it, above is called.
func (d *differ) changed(t trees, path string, above func() error, depth int) error {
	if depth > maxDepth {
		return unix.ENAMETOOLONG
	}
	tell := func(kind boxlitev1.FileDifference_Kind, path string) error {
		if above != nil {
			if err := above(); err != nil {
				return err
			}
			above = nil
		}
		return d.tell(kind, path)
	}
	opaque := hasXattr(t.upper, "trusted.overlay.opaque")
	if opaque || t.upper == nil || hasXattr(t.upper, "trusted.overlay.redirect") {
		// What is below comes from elsewhere, so all of it is to be compared.
		return d.whole(t, path, tell, depth)
	}
	return eachName(t.upper, func(name string) error {
		return d.compare(t, path, name, tell, depth)
	})
}

// whole compares all that is in a folder.
func (d *differ) whole(t trees, path string, tell func(boxlitev1.FileDifference_Kind, string) error, depth int) error {
	if t.merged != nil {
		if err := eachName(t.merged, func(name string) error { return d.compare(t, path, name, tell, depth) }); err != nil {
			return err
		}
	}
	if t.image == nil {
		return nil
	}
	return eachName(t.image, func(name string) error {
		if _, ok := statIn(t.merged, name); ok {
			return nil
		}
		return tell(deleted, path+"/"+name)
	})
}

// compare compares a file in a folder.
func (d *differ) compare(
	t trees, path, name string, tell func(boxlitev1.FileDifference_Kind, string) error, depth int,
) error {
	path += "/" + name
	now, exists := statIn(t.merged, name)
	was, existed := statIn(t.image, name)
	switch {
	case !exists && !existed:
		return nil // removed while we look
	case !exists:
		return tell(deleted, path)
	case !existed:
		if ours[path] {
			return nil
		}
		if err := tell(added, path); err != nil || !isFolder(now) {
			return err
		}
	case !isFolder(now) || !isFolder(was):
		if err := tell(changed, path); err != nil || !isFolder(now) {
			return err
		}
	}
	below, err := t.enter(name)
	if err != nil {
		return err
	}
	defer below.close()
	if !existed || !isFolder(was) {
		return d.added(below, path, depth+1)
	}
	above := func() error { return tell(changed, path) }
	if now.Mode != was.Mode || now.Uid != was.Uid || now.Gid != was.Gid {
		if err := above(); err != nil {
			return err
		}
		above = nil
	}
	return d.changed(below, path, above, depth+1)
}

// added tells of all that is in a new folder.
func (d *differ) added(t trees, path string, depth int) error {
	if t.merged == nil {
		return nil // removed while we look
	}
	if depth > maxDepth {
		return unix.ENAMETOOLONG
	}
	return eachName(t.merged, func(name string) error {
		stat, ok := statIn(t.merged, name)
		if !ok {
			return nil
		}
		if err := d.tell(added, path+"/"+name); err != nil || !isFolder(stat) {
			return err
		}
		below, err := trees{merged: t.merged}.enter(name)
		if err != nil {
			return err
		}
		defer below.close()
		return d.added(below, path+"/"+name, depth+1)
	})
}

func isFolder(stat unix.Stat_t) bool { return stat.Mode&unix.S_IFMT == unix.S_IFDIR }

func statIn(dir *os.File, name string) (stat unix.Stat_t, ok bool) {
	if dir == nil {
		return stat, false
	}
	err := unix.Fstatat(int(dir.Fd()), name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	return stat, err == nil
}

func hasXattr(dir *os.File, name string) bool {
	if dir == nil {
		return false
	}
	var value [1]byte
	n, err := unix.Fgetxattr(int(dir.Fd()), name, value[:])
	return errors.Is(err, unix.ERANGE) || err == nil && n > 0
}

func eachName(dir *os.File, do func(name string) error) error {
	for {
		names, err := dir.Readdirnames(listBatch)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := do(name); err != nil {
				return err
			}
		}
	}
}
