package vsock

import (
	"encoding/binary"
	"log/slog"
	"net"
	"sync"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

// Queues (5.10.2).
const (
	queueReceive  = 0 // what the guest receives
	queueTransmit = 1
	queueEvent    = 2
)

// Bounds. A guest can have this device hold no more than these, whatever it does.
const (
	// maxStreams is how many there can be at one time.
	maxStreams = 4096
	// The first streams get much credit, so that they are fast; further ones get little.
	wideStreams = 128
	wideCredit  = 512 << 10
	smallCredit = 64 << 10
	// maxResets is how many packets may wait that tell the guest of a stream which is
	// none. More are dropped: the guest does not take its packets.
	maxResets = 4096
)

// firstPort is where the ports of the host's ends begin, when the host connects.
const firstPort = 1 << 30

// Conn is the host's end of a stream. A [net.UnixConn] or [net.TCPConn] is fast: the
// kernel moves its bytes from and to the guest's memory.
type Conn interface {
	net.Conn
	// CloseWrite ends what is written; what is read may go on.
	CloseWrite() error
}

// Config is what a device is made from.
type Config struct {
	// CID is the address of the guest, at least 3.
	CID uint64
	// Dial answers a connection that the guest makes to a port of the host. If it is nil
	// or fails, the connection is refused. It is called in a goroutine of its own, and
	// [Device.Close] waits for it.
	Dial func(port uint32) (Conn, error)
	// Log gets what the guest does wrong, at the level of debugging. It may be nil.
	Log *slog.Logger
}

// Device is a virtio socket device, to be put behind a [virtio.Transport]. Besides what
// the transport calls, its methods may be called concurrently.
type Device struct {
	config Config
	log    *slog.Logger
	// workers are the goroutines of queues, from Start until Stop; the others those of
	// streams, until they end.
	workers, others sync.WaitGroup

	rx     rx
	tx     tx
	events events

	mu sync.Mutex
	// streams are those that the guest knows, or is to know.
	streams map[key]*stream
	// all are these, and those that still write to the host what the guest has sent.
	all      map[*stream]struct{}
	wide     int // how many of them have much credit
	nextPort uint32
	isClosed bool
	// What is to be sent that isn't data: resets of streams that are none, and what
	// streams have in stream.pending.
	resets  fifo[reset]
	control fifo[*stream]
}

// key is what tells streams of one guest apart.
type key struct{ host, guest uint32 }

var _ virtio.Device = (*Device)(nil)

// New makes a device. The caller closes it, after its transport.
func New(c Config) *Device {
	d := &Device{config: c, log: c.Log, streams: map[key]*stream{}, all: map[*stream]struct{}{}, nextPort: firstPort}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.rx.init()
	return d
}

// ID is the number of socket devices (5.10.1).
func (*Device) ID() uint32 { return virtio.IDSocket }

// Features are none: without VIRTIO_VSOCK_F_STREAM and VIRTIO_VSOCK_F_SEQPACKET, there
// are streams only (5.10.3.1).
func (*Device) Features() uint64 { return 0 }

// QueueSizes are large enough for 1 MiB of what Linux receives, in pieces of 4 KiB.
func (*Device) QueueSizes() []uint16 { return []uint16{256, 256, 16} }

// ReadConfig has the address of the guest (5.10.4).
func (d *Device) ReadConfig(offset uint32, p []byte) {
	var c [8]byte
	binary.LittleEndian.PutUint64(c[:], d.config.CID)
	virtio.Config(c[:], offset, p)
}

// WriteConfig does nothing: there is nothing to write.
func (*Device) WriteConfig(uint32, []byte) {}

// Start begins to take packets, and to send what waits.
func (d *Device) Start(_ uint64, queues []*virtio.Queue) error {
	if q := queues[queueEvent]; q != nil {
		d.workers.Go(func() { d.runEvents(q) })
	}
	if q := queues[queueReceive]; q != nil {
		d.rx.mu.Lock()
		d.rx.q = q
		q.Disarm()
		d.pump()
		d.rx.mu.Unlock()
		d.workers.Go(func() { d.runReceive(q) })
	}
	if q := queues[queueTransmit]; q != nil {
		d.workers.Go(func() { q.Run(func() error { return d.transmit(q) }) })
	}
	return nil
}

// Stop ends all use of the queues. Streams stay: their ends in the host wait.
func (d *Device) Stop() {
	d.rx.mu.Lock()
	d.rx.q = nil
	d.rx.mu.Unlock()
	d.workers.Wait()
}

// Reset ends all streams, as the guest has forgotten them. But not those of which it was
// not told yet: a driver begins with a reset.
func (d *Device) Reset() {
	d.rx.mu.Lock()
	defer d.rx.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.resets.clear()
	for s := range d.all {
		if s.state != stateWaiting {
			d.end(s)
		}
	}
	d.events.reset()
	d.rx.isHeld = false
}

// Connect joins conn to a new stream to a port of the guest. It returns at once. The
// device owns conn from then on, and closes it when the stream has ended, also because
// nobody listens on that port. When the guest's driver is not ready yet, the stream waits
// for that.
func (d *Device) Connect(port uint32, conn Conn) {
	d.mu.Lock()
	s := d.add(d.freeKey(port), stateWaiting)
	if s == nil {
		d.mu.Unlock()
		_ = conn.Close()
		return
	}
	s.attach(conn)
	d.watch(s)
	d.send(s, pendRequest)
	d.mu.Unlock()
	d.flush()
}

// freeKey returns one for a new stream to a port of the guest. There are fewer streams
// than ports to try.
func (d *Device) freeKey(port uint32) key {
	for {
		k := key{host: d.nextPort, guest: port}
		if d.nextPort++; d.nextPort == ^uint32(0) { // that one means any (VMADDR_PORT_ANY)
			d.nextPort = firstPort
		}
		if d.streams[k] == nil {
			return k
		}
	}
}

// Close ends all streams, and waits until their ends in the host are closed. Connections
// are refused from then on.
func (d *Device) Close() error {
	d.mu.Lock()
	d.isClosed = true
	for s := range d.all {
		d.reset(s)
	}
	d.mu.Unlock()
	d.flush()
	d.others.Wait()
	return nil
}
