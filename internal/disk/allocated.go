package disk

import (
	"errors"
	"os"
	"syscall"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Allocated returns how many bytes of the host's disk the file at path takes,
// which for a sparse file is less than its size.
func Allocated(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		kind := protocol.KindStorage
		if errors.Is(err, os.ErrNotExist) {
			kind = protocol.KindNotFound
		}
		return 0, &protocol.Error{Kind: kind, Op: "measure disk", Err: err}
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.Size(), nil
	}
	// stat(2) counts in units of 512 bytes, whatever the file system's block size.
	return stat.Blocks * 512, nil
}
