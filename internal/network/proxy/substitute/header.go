package substitute

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Numbers of RFC 6455, 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPong         = 0xA

	bitFinal    = 0x80
	bitsUnknown = 0x70 // for extensions
	bitMask     = 0x80

	maxControl = 125
	maxHeader  = 2 + 8 + 4
)

var errFrame = errors.New("bad WebSocket frame")

// header is what a frame begins with.
type header struct {
	opcode byte
	final  bool
	length uint64
	masked bool
	key    [4]byte
}

func (h *header) isControl() bool { return h.opcode >= opClose }

// readHeader reads and checks a header. It returns io.EOF only where a frame could begin.
func readHeader(src io.Reader, masked bool) (header, error) {
	var b [maxHeader]byte
	if _, err := io.ReadFull(src, b[:1]); err != nil {
		return header{}, err
	}
	if _, err := io.ReadFull(src, b[1:2]); err != nil {
		return header{}, cutOff(err)
	}
	h := header{opcode: b[0] & 0xF, final: b[0]&bitFinal != 0, masked: b[1]&bitMask != 0}
	switch {
	case b[0]&bitsUnknown != 0:
		return header{}, fmt.Errorf("%w: it has bits of an extension, which can't be read", errFrame)
	case h.opcode > opBinary && h.opcode < opClose, h.opcode > opPong:
		return header{}, fmt.Errorf("%w: its opcode is %d", errFrame, h.opcode)
	case h.masked != masked && masked:
		return header{}, fmt.Errorf("%w: it is from a client and not masked", errFrame)
	case h.masked != masked:
		return header{}, fmt.Errorf("%w: it is from a server and masked", errFrame)
	}
	if err := h.readLength(src, b[1]&^bitMask, b[2:10]); err != nil {
		return header{}, err
	}
	if h.isControl() && (!h.final || h.length > maxControl) {
		return header{}, fmt.Errorf("%w: a control frame is fragmented or longer than %d bytes", errFrame, maxControl)
	}
	if h.masked {
		if _, err := io.ReadFull(src, h.key[:]); err != nil {
			return header{}, cutOff(err)
		}
	}
	return h, nil
}

// readLength reads the length, of which short is the beginning, with a buffer of 8 bytes.
func (h *header) readLength(src io.Reader, short byte, b []byte) error {
	var least uint64
	switch short {
	case 126:
		b, least = b[6:], 126
	case 127:
		least = math.MaxUint16 + 1
	default:
		h.length = uint64(short)
		return nil
	}
	if _, err := io.ReadFull(src, b); err != nil {
		return cutOff(err)
	}
	for _, c := range b {
		h.length = h.length<<8 | uint64(c)
	}
	if h.length < least || h.length > math.MaxInt64 {
		return fmt.Errorf("%w: its length %d is not written as it has to be", errFrame, h.length)
	}
	return nil
}

// put writes the header at the end of b, and returns where it begins.
func (h *header) put(b []byte) (start int) {
	var buffer [maxHeader]byte
	encoded := append(buffer[:0], h.opcode, 0)
	if h.final {
		encoded[0] |= bitFinal
	}
	switch {
	case h.length < 126:
		encoded[1] = byte(h.length)
	case h.length <= math.MaxUint16:
		encoded[1] = 126
		encoded = binary.BigEndian.AppendUint16(encoded, uint16(h.length))
	default:
		encoded[1] = 127
		encoded = binary.BigEndian.AppendUint64(encoded, h.length)
	}
	if h.masked {
		encoded[1] |= bitMask
		encoded = append(encoded, h.key[:]...)
	}
	start = len(b) - len(encoded)
	copy(b[start:], encoded)
	return start
}

// newKey gives the header a key that nobody could foresee (RFC 6455, 5.3).
func (h *header) newKey() error {
	if !h.masked {
		return nil
	}
	_, err := rand.Read(h.key[:])
	return err
}

// mask masks or unmasks b, which is at a place of the payload.
func (h *header) mask(b []byte, place uint64) {
	if !h.masked {
		return
	}
	var key [8]byte
	for i := range key {
		key[i] = h.key[(place+uint64(i))%4]
	}
	wide := binary.LittleEndian.Uint64(key[:])
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^wide)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= key[i]
	}
}

// cutOff is the error of a source that ends within a frame.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
