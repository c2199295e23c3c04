// Package flatten turns the layers of an image into one read-only ext4 file
// system.
//
// It reads every layer twice. The first reading takes only the headers, and
// applies them to a tree in memory, bottom layer first, as a container engine
// would extract them over each other: what the tree holds in the end is the
// image. The second reading copies the content of the files that are left into
// the file system, in the order in which the layers hold them. Nothing is
// extracted to the host: names, links, owners and modes are only ever data.
//
// Image content is hostile input. All of it is bounded by [Limits], and whatever
// no container engine could extract is refused.
package flatten

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/Microsoft/hcsshim/ext4/tar2ext4"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Layer is one layer of an image.
type Layer struct {
	// Name says in errors which layer it is.
	Name string
	// Open returns the layer's tar stream, compressed or not. It is called more
	// than once. If it returns a plain tar that is an io.Seeker, content is
	// jumped over where it isn't needed.
	Open func() (io.ReadCloser, error)
	// DiffID is the digest that the uncompressed stream must have, or "" if
	// whoever made the layer has checked it.
	DiffID string
}

// Write writes the ext4 file system that holds the flattened layers, bottom layer
// first, to out, which must be empty. The same layers make the same bytes.
// Progress, if not nil, is called with the bytes of content done and their total.
func Write(ctx context.Context, out *os.File, layers []Layer, limits Limits, progress func(done, total int64)) error {
	b := &budget{limits: limits.WithDefaults()}
	image, err := read(ctx, layers, b)
	if err != nil {
		return err
	}
	stream := newStream(ctx, image, layers, progress)
	defer stream.close()
	file := newSparseFile(out)
	err = tar2ext4.ConvertTarToExt4(stream, file, tar2ext4.MaximumDiskSize(image.maxDiskSize()))
	return writeError(cmp.Or(err, file.close()))
}

// writeError gives an error of the second reading its kind.
func writeError(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if _, ok := errors.AsType[*protocol.Error](err); ok {
		return err
	}
	if DiskFull(err) {
		return &protocol.Error{
			Kind: protocol.KindResourceExhausted,
			Err:  fmt.Errorf("the disk is full: %w", err),
			Hint: "free some space on the disk that holds BoxLite's home, or remove images that you no longer need",
		}
	}
	if _, ok := errors.AsType[*os.PathError](err); ok {
		return &protocol.Error{Kind: protocol.KindStorage, Err: err}
	}
	return &protocol.Error{Kind: protocol.KindImage, Err: fmt.Errorf("build the root disk: %w", err)}
}

// DiskFull reports whether err says that there is no room for more: none on the
// disk, in the user's quota, or below the process's limit on file sizes.
func DiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// flattened is an image whose tree is complete.
type flattened struct {
	nodes    []*node   // all but the files with content, parents first
	contents [][]*node // for each layer, its files with content, in its order
	links    []link
	bytes    int64 // of all content
	blocks   int64 // that content, links and attributes need, at the most
	inodes   int64
}

// link is a further name of a file.
type link struct {
	parent *node
	name   string
	target *node
}

// maxDiskSize is an upper bound of the file system's size. The writer reserves
// a little room for it, and refuses to grow beyond it.
func (f *flattened) maxDiskSize() int64 {
	const (
		inodesPerGroup = 32768
		groupSize      = 32768 * blockSize
	)
	groups := f.inodes/inodesPerGroup + f.blocks/16384 + 2
	return groups * groupSize
}
