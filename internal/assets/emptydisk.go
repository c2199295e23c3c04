package assets

import (
	_ "embed" // for emptyDisk
	"io"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

//go:embed disk/empty.ext4.zst
var emptyDisk string

// EmptyDisk returns an ext4 file system without files, of which most bytes are
// zero. The guest grows it to the size of the disk that it is written to. The
// caller closes the reader.
func EmptyDisk() (io.ReadCloser, error) {
	r, err := open(emptyDisk)
	if err != nil {
		return nil, &protocol.Error{Kind: protocol.KindInternal, Op: "read the embedded empty disk", Hint: hintDamaged, Err: err}
	}
	return r, nil
}
