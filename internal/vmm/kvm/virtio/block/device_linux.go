package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

// Features of block devices (5.2.3).
const (
	featureSegMax      uint64 = 1 << 2
	featureReadOnly    uint64 = 1 << 5
	featureBlockSize   uint64 = 1 << 6
	featureFlush       uint64 = 1 << 9
	featureTopology    uint64 = 1 << 10
	featureQueues      uint64 = 1 << 12
	featureDiscard     uint64 = 1 << 13
	featureWriteZeroes uint64 = 1 << 14
)

// Limits that the driver is told.
const (
	sectorSize = 512
	// queueSize is how many requests there are at one time, and, as a chain is no longer
	// than its queue, how many pieces one has.
	queueSize = 256
	// segMax leaves room for a header and a status.
	segMax = queueSize - 2
	// maxRanges and the sectors of one of them bound what one discard, or one write of
	// zeros, takes: a device that is to stop waits for it.
	maxRanges        = 64
	maxDiscard       = 4 << 30 / sectorSize
	maxZeroes        = 32 << 20 / sectorSize
	discardAlignment = 4096 / sectorSize
	// maxQueues is how many queues there may be.
	maxQueues = 16
)

// idSize is how long a serial number is at most (5.2.6).
const idSize = 20

// Config is what a device is made of.
type Config struct {
	// File is the disk: a regular file or a block device, open for reading, and for
	// writing unless ReadOnly is set. It stays the caller's, who closes it once the
	// device has been stopped for good, and not before.
	File *os.File
	// ReadOnly has all that would change the disk fail.
	ReadOnly bool
	// Serial is what the guest finds in /sys/block/*/serial, at most 20 bytes.
	Serial string
	// Queues is how many queues there are, one if it is 0.
	Queues int
	// Log is told of the first error of the host. It may be nil.
	Log *slog.Logger
}

// Device is a disk. It is a [virtio.Device].
type Device struct {
	file       *os.File
	fd         int
	isReadOnly bool
	sectors    uint64
	id         [idSize]byte
	features   uint64
	config     []byte
	sizes      []uint16
	log        *slog.Logger

	// What the host can do, until it turns out that it can't.
	waitlessReads, waitlessWrites atomic.Bool
	// fallocate and datasync are the host's, or a test's.
	fallocate func(fd int, mode uint32, offset, size int64) error
	datasync  func(fd int) error

	// What is below is of the time between Start and Stop.
	isStable   bool // a write is done once it is on disk
	isStopping atomic.Bool
	hasLogged  atomic.Bool
	takers     sync.WaitGroup
	pool       pool
}

var _ virtio.Device = (*Device)(nil)

// New makes a device of a file.
func New(c Config) (*Device, error) {
	size, err := diskSize(c.File)
	switch {
	case err != nil:
		return nil, fmt.Errorf("disk %s: %w", c.File.Name(), err)
	case size%sectorSize != 0:
		return nil, fmt.Errorf("disk %s: its size, %d bytes, is not a multiple of %d", c.File.Name(), size, sectorSize)
	case len(c.Serial) > idSize:
		return nil, fmt.Errorf("disk %s: the serial number %q has more than %d bytes", c.File.Name(), c.Serial, idSize)
	case c.Queues < 0 || c.Queues > maxQueues:
		return nil, fmt.Errorf("disk %s: it can't have %d queues", c.File.Name(), c.Queues)
	}
	d := &Device{
		file: c.File, fd: int(c.File.Fd()), isReadOnly: c.ReadOnly, sectors: uint64(size) / sectorSize,
		features: featureSegMax | featureBlockSize | featureFlush | featureTopology,
		log:      c.Log, fallocate: unix.Fallocate, datasync: unix.Fdatasync,
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	copy(d.id[:], c.Serial)
	for range max(c.Queues, 1) {
		d.sizes = append(d.sizes, queueSize)
	}
	if len(d.sizes) > 1 {
		d.features |= featureQueues
	}
	if d.isReadOnly {
		d.features |= featureReadOnly
	} else {
		d.features |= featureDiscard | featureWriteZeroes
	}
	d.waitlessReads.Store(true)
	d.waitlessWrites.Store(true)
	d.config = d.layout()
	d.pool.do = d.wait
	return d, nil
}

// diskSize is how many bytes a file or block device has.
func diskSize(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return info.Size(), nil
	case mode&os.ModeDevice != 0 && mode&os.ModeCharDevice == 0:
		return f.Seek(0, io.SeekEnd) // nothing else uses the file's position
	}
	return 0, errors.New("it is neither a regular file nor a block device")
}

// layout is the configuration (5.2.4).
func (d *Device) layout() []byte {
	b := make([]byte, 60)
	le := binary.LittleEndian
	le.PutUint64(b, d.sectors)
	le.PutUint32(b[12:], segMax)
	le.PutUint32(b[20:], sectorSize)
	b[24] = 3               // a physical block is 2^3 logical ones, as on disks of today
	le.PutUint16(b[26:], 8) // and is what one should write at least
	b[32] = 1               // writeback: writes are not on disk before a flush
	le.PutUint16(b[34:], uint16(len(d.sizes)))
	if d.isReadOnly {
		return b
	}
	le.PutUint32(b[36:], maxDiscard)
	le.PutUint32(b[40:], maxRanges)
	le.PutUint32(b[44:], discardAlignment)
	le.PutUint32(b[48:], maxZeroes)
	le.PutUint32(b[52:], maxRanges)
	b[56] = 1 // zeros may be holes
	return b
}

// Sectors is how large the disk is, in sectors of 512 bytes.
func (d *Device) Sectors() uint64 { return d.sectors }

// ID says that it is a block device.
func (*Device) ID() uint32 { return virtio.IDBlock }

// Features are those of block devices that it has.
func (d *Device) Features() uint64 { return d.features }

// QueueSizes are the sizes of its request queues.
func (d *Device) QueueSizes() []uint16 { return d.sizes }

// ReadConfig reads struct virtio_blk_config.
func (d *Device) ReadConfig(offset uint32, p []byte) { virtio.Config(d.config, offset, p) }

// WriteConfig does nothing: there is nothing to write without VIRTIO_BLK_F_CONFIG_WCE.
func (*Device) WriteConfig(uint32, []byte) {}

// Start begins to take requests.
func (d *Device) Start(features uint64, queues []*virtio.Queue) error {
	// A driver that does not flush relies on writes being on disk (5.2.6.2).
	d.isStable = features&featureFlush == 0
	d.isStopping.Store(false)
	d.hasLogged.Store(false)
	for _, q := range queues {
		if q == nil {
			continue
		}
		t := &taker{device: d, queue: q}
		t.back.L = &t.mu
		d.takers.Go(func() { q.Run(t.work) })
	}
	return nil
}

// Stop takes no more requests, and returns when all that were taken are done.
func (d *Device) Stop() {
	d.isStopping.Store(true)
	d.takers.Wait()
	d.pool.workers.Wait()
}

// Reset does nothing: a driver makes nothing of the device that outlives Stop.
func (*Device) Reset() {}

// Save returns nothing: when the device is stopped, no request is on its way.
func (*Device) Save() ([]byte, error) { return nil, nil }

// Restore takes what Save returned.
func (*Device) Restore(state []byte) error {
	if len(state) != 0 {
		return errors.New("a disk has no state")
	}
	return nil
}

// failed is told of an error of the host, of which the guest learns as well. A guest may
// cause as many as it likes, so that only the first one is logged.
func (d *Device) failed(what string, err error) {
	if !d.hasLogged.Swap(true) {
		d.log.Warn("a disk of the guest fails", "file", d.file.Name(), "request", what, "err", err)
	}
}
