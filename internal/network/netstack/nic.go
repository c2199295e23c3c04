package netstack

import (
	"net"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/boxlite-go/boxlite/internal/network/link"
)

const (
	// queueBytes is what waits for a guest that does not read. More is dropped: TCP
	// sends it again.
	queueBytes = 16 << 20
	// batchFrames is how many frames are sent at once, at most: few enough not to hold
	// buffers for long, many enough to make the cost of a system call small.
	batchFrames = 64
)

// NIC is a network card between a stack and a link. All that it sends goes to one
// hardware address, as there is nobody else.
type NIC struct {
	from, to tcpip.LinkAddress
	mtu      atomic.Uint32

	mu         sync.RWMutex // of the stack that it is attached to
	dispatcher stack.NetworkDispatcher

	queue queue
}

// NewNIC returns the card with hardware address from, facing the one with address to.
func NewNIC(from, to net.HardwareAddr) *NIC {
	n := &NIC{from: tcpip.LinkAddress(from), to: tcpip.LinkAddress(to)}
	n.mtu.Store(link.MTU)
	n.queue.changed.L = &n.queue.mu
	return n
}

// Deliver gives the stack a frame. It copies it.
func (n *NIC) Deliver(frame []byte) {
	if len(frame) <= header.EthernetMinimumSize {
		return
	}
	n.mu.RLock()
	dispatcher := n.dispatcher
	n.mu.RUnlock()
	if dispatcher == nil {
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame[header.EthernetMinimumSize:])})
	defer pkt.DecRef()
	dispatcher.DeliverNetworkPacket(header.Ethernet(frame).Type(), pkt)
}

// Inject sends a whole frame that did not come from the stack. It copies it.
func (n *NIC) Inject(frame []byte) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
	defer pkt.DecRef()
	n.queue.put(pkt)
}

// Transmit passes what is sent to send, in batches of at most 64 frames, until the card
// is shut down or send fails.
func (n *NIC) Transmit(send func([]link.Frame) error) error {
	frames := make([]link.Frame, 0, batchFrames)
	for {
		batch := n.queue.take(batchFrames)
		if batch == nil {
			return nil
		}
		frames = frames[:0]
		for _, pkt := range batch {
			frames = append(frames, pkt.AsSlices())
		}
		err := send(frames)
		for _, pkt := range batch {
			pkt.DecRef()
		}
		clear(frames)
		if err != nil {
			n.Shutdown()
			return err
		}
	}
}

// Shutdown ends Transmit, and drops what is and will be sent.
func (n *NIC) Shutdown() { n.queue.close() }

// Dropped returns how many frames were dropped because the other end was too slow.
func (n *NIC) Dropped() int64 { return n.queue.dropped.Load() }

// WritePackets implements [stack.LinkWriter].
func (n *NIC) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		n.queue.put(pkt)
	}
	return pkts.Len(), nil
}

// AddHeader implements [stack.LinkEndpoint].
func (n *NIC) AddHeader(pkt *stack.PacketBuffer) {
	header.Ethernet(pkt.LinkHeader().Push(header.EthernetMinimumSize)).Encode(&header.EthernetFields{
		SrcAddr: n.from, DstAddr: n.to, Type: pkt.NetworkProtocolNumber,
	})
}

// Capabilities implements [stack.LinkEndpoint]. Packets never crossed a wire, so nothing
// is gained from verifying their checksums.
func (n *NIC) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload
}

// Attach implements [stack.LinkEndpoint].
func (n *NIC) Attach(dispatcher stack.NetworkDispatcher) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dispatcher = dispatcher
}

// IsAttached implements [stack.LinkEndpoint].
func (n *NIC) IsAttached() bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.dispatcher != nil
}

// MTU implements [stack.LinkEndpoint].
func (n *NIC) MTU() uint32 { return n.mtu.Load() }

// SetMTU implements [stack.LinkEndpoint].
func (n *NIC) SetMTU(mtu uint32) { n.mtu.Store(mtu) }

// MaxHeaderLength implements [stack.LinkEndpoint].
func (n *NIC) MaxHeaderLength() uint16 { return header.EthernetMinimumSize }

// LinkAddress implements [stack.LinkEndpoint].
func (n *NIC) LinkAddress() tcpip.LinkAddress { return n.from }

// SetLinkAddress implements [stack.LinkEndpoint]. The address never changes.
func (n *NIC) SetLinkAddress(tcpip.LinkAddress) {}

// ARPHardwareType implements [stack.LinkEndpoint].
func (n *NIC) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// ParseHeader implements [stack.LinkEndpoint].
func (n *NIC) ParseHeader(pkt *stack.PacketBuffer) bool {
	_, ok := pkt.LinkHeader().Consume(header.EthernetMinimumSize)
	return ok
}

// Close implements [stack.LinkEndpoint].
func (n *NIC) Close() { n.Shutdown() }

// SetOnCloseAction implements [stack.LinkEndpoint].
func (n *NIC) SetOnCloseAction(func()) {}

// Wait implements [stack.LinkEndpoint]. The card has no goroutines.
func (n *NIC) Wait() {}

// queue holds what was sent and not transmitted yet.
type queue struct {
	mu      sync.Mutex
	changed sync.Cond
	waiting []*stack.PacketBuffer
	taken   []*stack.PacketBuffer // the memory of the last batch
	bytes   int
	closed  bool
	dropped atomic.Int64
}

func (q *queue) put(pkt *stack.PacketBuffer) {
	size := pkt.Size()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.bytes+size > queueBytes {
		q.dropped.Add(1)
		return
	}
	q.waiting = append(q.waiting, pkt.IncRef())
	q.bytes += size
	if len(q.waiting) == 1 {
		q.changed.Signal()
	}
}

// take waits for packets, and returns at most limit of them, which are the caller's
// until the next call. It returns nil when the queue is closed.
func (q *queue) take(limit int) []*stack.PacketBuffer {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 && !q.closed {
		q.changed.Wait()
	}
	if q.closed {
		return nil
	}
	n := min(limit, len(q.waiting))
	q.taken = append(q.taken[:0], q.waiting[:n]...)
	rest := copy(q.waiting, q.waiting[n:])
	clear(q.waiting[rest:])
	q.waiting = q.waiting[:rest]
	for _, pkt := range q.taken {
		q.bytes -= pkt.Size()
	}
	return q.taken
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, pkt := range q.waiting {
		pkt.DecRef()
	}
	q.waiting, q.bytes = nil, 0
	q.changed.Broadcast()
}
