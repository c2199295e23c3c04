package assets

import (
	_ "embed" // for emptyDisks
	"encoding/binary"
	"errors"
	"io"
)

const (
	// MinDiskSize is the smallest size that [WriteEmptyDisk] takes, in bytes.
	MinDiskSize = 64 << 20
	// usualDiskSize is the size of the larger one of the two empty file systems.
	usualDiskSize = 10 << 30
	// diskBlockSize is the block size of both.
	diskBlockSize = 4096
)

var (
	//go:embed disk/empty-64M.zst
	minDisk string
	//go:embed disk/empty-10G.zst
	usualDisk string
)

// WriteEmptyDisk writes an ext4 file system with nothing but the empty folders
// upper and work to a disk of size bytes, all of which must read as zeros. It
// leaves out blocks that hold only zeros. The guest grows the file system if it is
// smaller than the disk.
func WriteEmptyDisk(disk io.WriterAt, size int64) error {
	packed := minDisk
	if size >= usualDiskSize {
		packed = usualDisk
	}
	blocks, err := open(packed)
	if err != nil {
		return err
	}
	defer blocks.Close()
	// disk/pack writes what is read here.
	var record [8 + diskBlockSize]byte
	for {
		_, err := io.ReadFull(blocks, record[:])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		offset := binary.LittleEndian.Uint64(record[:8])
		if _, err := disk.WriteAt(record[8:], int64(offset)); err != nil {
			return err
		}
	}
}
