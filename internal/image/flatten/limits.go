package flatten

import (
	"fmt"
	"sync/atomic"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Limits bounds what an image may ask of the host. A zero field means its
// default.
type Limits struct {
	// Bytes is the uncompressed size of all layers together, counting declared
	// sizes, so that a file of zeros counts as much as any other. Default 64 GiB.
	Bytes int64
	// Entries is the number of files, directories and links. Default 5 million.
	Entries int64
	// Metadata is the size of all names, link targets and extended attributes,
	// which are held in memory. Default 512 MiB.
	Metadata int64
	// Depth is how deeply directories may nest. Default 512.
	Depth int
}

const (
	// maxFileBytes is where the ext4 writer's extent index ends: 340 extents of
	// 128 MiB each.
	maxFileBytes = 340 * 128 << 20
	maxNameBytes = 255
	maxPathBytes = 4095
	maxLinkDepth = 40
)

// WithDefaults returns the limits with defaults for the fields that are zero.
func (l Limits) WithDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = 64 << 30
	}
	if l.Entries == 0 {
		l.Entries = 5_000_000
	}
	if l.Metadata == 0 {
		l.Metadata = 512 << 20
	}
	if l.Depth == 0 {
		l.Depth = 512
	}
	return l
}

// HintBytes says how the limit of Bytes is raised.
const HintBytes = "if you trust the image, raise Options.MaxImageBytes, or maxImageBytes in the file of boxlite --config"

// hintFewer is for what has no limit that users could raise.
const hintFewer = "use an image of fewer and simpler files"

// budget counts what the layers, read at the same time, have used of the limits.
type budget struct {
	limits   Limits
	declared atomic.Int64
	read     atomic.Int64
	entries  atomic.Int64
	metadata atomic.Int64
}

func (b *budget) addDeclared(n int64) error {
	return charge(&b.declared, n, b.limits.Bytes, "uncompressed size", "bytes", HintBytes)
}

func (b *budget) addRead(n int64) error {
	return charge(&b.read, n, b.limits.Bytes, "uncompressed size", "bytes", HintBytes)
}

func (b *budget) addEntry() error {
	return charge(&b.entries, 1, b.limits.Entries, "number of files", "files", hintFewer)
}

func (b *budget) addMetadata(n int64) error {
	return charge(&b.metadata, n, b.limits.Metadata, "size of names and attributes", "bytes", hintFewer)
}

func charge(used *atomic.Int64, n, limit int64, what, unit, hint string) error {
	// The second comparison is for sums that overflow.
	if total := used.Add(n); total <= limit && total >= 0 && n <= limit {
		return nil
	}
	return &protocol.Error{
		Kind: protocol.KindResourceExhausted,
		Err:  fmt.Errorf("the image exceeds the limit on its %s, %d %s", what, limit, unit),
		Hint: hint,
	}
}
