package assets

import (
	_ "embed" // for emptyDisk
	"io"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

//go:embed disk/empty.ext4.zst
var emptyDisk string

// EmptyDiskSize is the size in bytes of the file system in [EmptyDisk].
const EmptyDiskSize = 64 << 20

// EmptyDisk returns an ext4 file system without files, up to where all further
// bytes of its [EmptyDiskSize] are zero. Most of what it returns is zero, too. The
// guest grows the file system to the size of the disk that it is written to. The
// caller closes the reader.
func EmptyDisk() (io.ReadCloser, error) {
	r, err := open(emptyDisk)
	if err != nil {
		return nil, &protocol.Error{Kind: protocol.KindInternal, Op: "read the embedded empty disk", Hint: hintDamaged, Err: err}
	}
	return r, nil
}
