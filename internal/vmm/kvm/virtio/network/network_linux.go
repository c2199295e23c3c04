// Package network is the guest's network card (5.1), whose cable is a [link.Endpoint]: a
// network stack is at its other end.
//
//	guest ── queue 1 ──▶ transmitter ── pieces of guest memory ──▶ Link.Send
//	guest ◀── queue 0 ── receiver ◀────────── frames ──────────── Link.Receive
//
// Frames that the guest sends are never copied here: Send is given the guest's memory,
// and the guest has its buffers back when it returns. Frames for the guest are copied
// once, into its buffers. If there are none, the receiver does not read from the link
// until there are, so the stack learns that the guest is slow. Nothing is dropped but
// what is no frame, or does not fit into any buffer that the guest has.
//
// # Stopping
//
// Whoever waits in Link.Receive can't be woken without an end of the link. So the
// receiver is one goroutine from the first Start until Close, and a [gate] keeps it away
// from the guest in between. A frame that it has received by then is delivered when the
// device goes on. Stop waits for Link.Send, as half a frame can't be taken back: the other
// end must read, or be closed.
//
// # Offloads
//
// The stack and the guest share a machine, so checksums protect nothing, and frames are
// as large as IP allows. That makes segmentation needless: it is not offered.
package network

import (
	"encoding/binary"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"github.com/boxlite-go/boxlite/internal/network/link"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

// Features (5.1.3).
const (
	FeatureChecksum      uint64 = 1 << 0  // VIRTIO_NET_F_CSUM
	FeatureGuestChecksum uint64 = 1 << 1  // VIRTIO_NET_F_GUEST_CSUM
	FeatureMTU           uint64 = 1 << 3  // VIRTIO_NET_F_MTU
	FeatureMAC           uint64 = 1 << 5  // VIRTIO_NET_F_MAC
	FeatureMergeable     uint64 = 1 << 15 // VIRTIO_NET_F_MRG_RXBUF
	FeatureStatus        uint64 = 1 << 16 // VIRTIO_NET_F_STATUS
)

// Queues (5.1.2).
const (
	receiveQueue  = 0
	transmitQueue = 1

	// Linux's buffers to receive have a page or less, so one large frame takes 17 and
	// more of them.
	receiveSize  = 1024
	transmitSize = 256
)

// The header of each frame (5.1.6).
const (
	headerSize    = 12
	headerBuffers = 10 // where num_buffers is
	dataValid     = 2  // VIRTIO_NET_HDR_F_DATA_VALID, in flags
)

// minFrame is an Ethernet header.
const minFrame = 14

// statusUp is VIRTIO_NET_S_LINK_UP, in the configuration's status.
const statusUp = 1

// Config says what a network card is like.
type Config struct {
	// MAC is the guest's hardware address.
	MAC net.HardwareAddr
	// Link is the other end of the cable. The device owns it.
	Link link.Endpoint
	// NoChecksums is that the other end does not verify checksums of TCP and UDP. The
	// guest is then told that the device makes them (VIRTIO_NET_F_CSUM), and nobody does.
	// Linux gathers frames from pages only if so, too: else it copies them.
	NoChecksums bool
	// GoodChecksums is that the other end always makes right checksums. The guest need
	// not verify them then.
	GoodChecksums bool
	// Log is for what should not happen.
	Log *slog.Logger
}

// Device is a network card. It implements [virtio.Device].
type Device struct {
	config Config
	tx     transmitter
	rx     receiver
	wg     sync.WaitGroup // of the transmitter, between Start and Stop
	isDown atomic.Bool    // the link has ended
}

// New returns a network card. The caller closes it.
func New(c Config) *Device {
	d := &Device{config: c}
	d.tx.init(c.Link, d.ended)
	d.rx.init(c.Link, d.ended)
	return d
}

// Close closes the link. What waits for it returns, so it may be called before the device
// is stopped.
func (d *Device) Close() error {
	d.isDown.Store(true)
	return d.rx.close()
}

// Dropped returns how many frames from and for the guest were dropped.
func (d *Device) Dropped() (sent, received uint64) {
	return d.tx.dropped.Load(), d.rx.dropped.Load()
}

// ended is called when the link is of no use any more.
func (d *Device) ended(err error) {
	if !d.isDown.Swap(true) {
		d.config.Log.Warn("the guest's network has ended", "err", err)
	}
}

// ID implements [virtio.Device].
func (*Device) ID() uint32 { return virtio.IDNetwork }

// Features implements [virtio.Device].
func (d *Device) Features() uint64 {
	features := FeatureMTU | FeatureMAC | FeatureMergeable | FeatureStatus
	if d.config.NoChecksums {
		features |= FeatureChecksum
	}
	if d.config.GoodChecksums {
		features |= FeatureGuestChecksum
	}
	return features
}

// QueueSizes implements [virtio.Device].
func (*Device) QueueSizes() []uint16 { return []uint16{receiveSize, transmitSize} }

// ReadConfig implements [virtio.Device]. The fields are mac, status, max_virtqueue_pairs,
// which is not offered, and mtu (5.1.4).
func (d *Device) ReadConfig(offset uint32, p []byte) {
	var b [12]byte
	copy(b[:6], d.config.MAC)
	if !d.isDown.Load() {
		binary.LittleEndian.PutUint16(b[6:], statusUp)
	}
	binary.LittleEndian.PutUint16(b[10:], link.MTU)
	virtio.Config(b[:], offset, p)
}

// WriteConfig implements [virtio.Device]. All fields are read-only (5.1.4).
func (*Device) WriteConfig(uint32, []byte) {}

// Start implements [virtio.Device].
func (d *Device) Start(features uint64, queues []*virtio.Queue) error {
	if q := queues[transmitQueue]; q != nil {
		d.wg.Go(func() { q.Run(func() error { return d.tx.work(q) }) })
	}
	d.rx.start(features, queues[receiveQueue])
	return nil
}

// Stop implements [virtio.Device].
func (d *Device) Stop() {
	d.rx.stop()
	d.wg.Wait()
}

// Reset implements [virtio.Device].
func (*Device) Reset() {}

// Save implements [virtio.Device]: there is nothing. Frames between here and the stack
// are lost to who goes on elsewhere, as they may be in any network.
func (*Device) Save() ([]byte, error) { return nil, nil }

// Restore implements [virtio.Device].
func (*Device) Restore([]byte) error { return nil }
