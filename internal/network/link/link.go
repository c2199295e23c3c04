// Package link carries Ethernet frames between a guest's network card and the
// network stack that serves it.
//
// A VMM gives an [Endpoint]: QEMU's is a socket ([Stream]), that of a VMM in this
// process hands over frames in memory. Frames have no checksum of their own (FCS),
// and may be as large as [MaxFrame]: large frames make throughput independent of the
// work that each costs.
package link

import "net"

const (
	// MTU is the largest IP packet that passes: the largest that fits into a frame
	// of every engine, in multiples of eight bytes.
	MTU = 65520
	// MaxFrame is the largest frame: an Ethernet header, and an IP packet.
	MaxFrame = MTU + 14
)

// Endpoint is the host's end of a guest's network card. One goroutine may receive
// while others send.
type Endpoint interface {
	// Receive blocks until the guest has sent frames, and calls deliver for each
	// that is there. A frame is the callee's to read until deliver returns. The error
	// is io.EOF when the machine has ended; after an error, no more frames come.
	Receive(deliver func(frame []byte)) error
	// Send passes frames to the guest, in order, and returns when their memory is
	// free again. Each is given in pieces. The guest may be slow: Send then blocks.
	Send(frames []Frame) error
	// Close ends both directions; Receive and Send return.
	Close() error
}

// Frame is a frame in pieces that follow each other.
type Frame = net.Buffers
