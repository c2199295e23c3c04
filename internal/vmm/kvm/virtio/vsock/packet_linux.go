package vsock

import "encoding/binary"

// headerSize is how long the header of a packet is (5.10.6).
const headerSize = 44

// Kinds of sockets (5.10.6.4).
const typeStream = 1

// Operations (5.10.6).
const (
	opRequest       = 1
	opResponse      = 2
	opReset         = 3
	opShutdown      = 4
	opData          = 5
	opCreditUpdate  = 6
	opCreditRequest = 7
)

// Flags of a shutdown: who sends it does not receive any more, or does not send
// (5.10.6.5).
const (
	shutReceive = 1
	shutSend    = 2
	shutBoth    = shutReceive | shutSend
)

// hostCID is the address of the host (5.10.4).
const hostCID = 2

// header is what each packet begins with.
type header struct {
	srcCID, dstCID   uint64
	srcPort, dstPort uint32
	length           uint32
	kind, op         uint16
	flags            uint32
	bufAlloc, fwdCnt uint32
}

func (h *header) put(b *[headerSize]byte) {
	le := binary.LittleEndian
	le.PutUint64(b[0:], h.srcCID)
	le.PutUint64(b[8:], h.dstCID)
	le.PutUint32(b[16:], h.srcPort)
	le.PutUint32(b[20:], h.dstPort)
	le.PutUint32(b[24:], h.length)
	le.PutUint16(b[28:], h.kind)
	le.PutUint16(b[30:], h.op)
	le.PutUint32(b[32:], h.flags)
	le.PutUint32(b[36:], h.bufAlloc)
	le.PutUint32(b[40:], h.fwdCnt)
}

func parse(b *[headerSize]byte) header {
	le := binary.LittleEndian
	return header{
		srcCID: le.Uint64(b[0:]), dstCID: le.Uint64(b[8:]),
		srcPort: le.Uint32(b[16:]), dstPort: le.Uint32(b[20:]),
		length: le.Uint32(b[24:]), kind: le.Uint16(b[28:]), op: le.Uint16(b[30:]),
		flags: le.Uint32(b[32:]), bufAlloc: le.Uint32(b[36:]), fwdCnt: le.Uint32(b[40:]),
	}
}

// gather copies the first bytes of pieces to b, and returns the pieces after them, which
// are the same memory; or false if there are too few.
func gather(b []byte, pieces [][]byte) ([][]byte, bool) {
	for len(b) > 0 {
		if len(pieces) == 0 {
			return nil, false
		}
		n := copy(b, pieces[0])
		b, pieces = b[n:], skip(pieces, n)
	}
	return pieces, true
}

// scatter copies b to the first bytes of pieces, of which there are enough.
func scatter(pieces [][]byte, b []byte) {
	for len(b) > 0 {
		b = b[copy(pieces[0], b):]
		pieces = pieces[1:]
	}
}

// skip takes n bytes, no more than the first piece has, off the pieces.
func skip(pieces [][]byte, n int) [][]byte {
	if n == len(pieces[0]) {
		return pieces[1:]
	}
	pieces[0] = pieces[0][n:]
	return pieces
}

// limit shortens pieces to n bytes, or reports that they have fewer.
func limit(pieces [][]byte, n uint64) ([][]byte, bool) {
	for i, p := range pieces {
		if n <= uint64(len(p)) {
			pieces[i] = p[:n]
			if n == 0 {
				return pieces[:i], true
			}
			return pieces[:i+1], true
		}
		n -= uint64(len(p))
	}
	return pieces, n == 0
}

// size is how many bytes pieces have.
func size(pieces [][]byte) (n uint64) {
	for _, p := range pieces {
		n += uint64(len(p))
	}
	return n
}
