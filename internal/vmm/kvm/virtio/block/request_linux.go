package block

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

// Types of requests (5.2.6).
const (
	typeIn          = 0
	typeOut         = 1
	typeFlush       = 4
	typeID          = 8
	typeDiscard     = 11
	typeWriteZeroes = 13
)

// Status of requests (5.2.6). statusPending is none of them: it is not done yet.
const (
	statusOK          = 0
	statusError       = 1
	statusUnsupported = 2

	statusPending = 0xff
)

const (
	headerSize = 16
	rangeSize  = 16
	// flagUnmap is that zeros may be holes.
	flagUnmap = 1
)

// span is a range of a disk, in bytes, within the disk.
type span struct {
	offset, size int64
	unmap        bool
}

// request is what a driver asks for. Its memory is used again for the next one.
type request struct {
	chain virtio.Chain
	taker *taker
	next  *request // in lists

	kind   uint32
	sector uint64
	// result is where the guest finds the status.
	result *byte

	// vector is where data is, and left the part that is still to be moved: it belongs
	// at offset on disk. moved is how much was.
	vector []unix.Iovec
	left   []unix.Iovec
	offset int64
	moved  uint32
	spans  []span
}

// parse finds the header and the status, wherever descriptors divide them (2.7.4.1).
func (r *request) parse() error {
	var header [headerSize]byte
	if gather(header[:], r.chain.Readable, 0) < headerSize {
		return fmt.Errorf("%w: a request without a header", virtio.ErrQueue)
	}
	n := len(r.chain.Writable)
	if n == 0 {
		return fmt.Errorf("%w: a request without a status", virtio.ErrQueue)
	}
	r.kind = binary.LittleEndian.Uint32(header[:])
	r.sector = binary.LittleEndian.Uint64(header[8:])
	last := r.chain.Writable[n-1] // no piece of a chain is empty
	r.result = &last[len(last)-1]
	r.vector, r.left, r.spans, r.moved = r.vector[:0], nil, r.spans[:0], 0
	return nil
}

// total is how many bytes there are in pieces, less than 2^33.
func total(pieces [][]byte) uint64 {
	var n uint64
	for _, p := range pieces {
		n += uint64(len(p))
	}
	return n
}

// gather copies from pieces, after a number of bytes, to b and returns how many it could.
func gather(b []byte, pieces [][]byte, skip int) int {
	n := 0
	for _, p := range pieces {
		if skip >= len(p) {
			skip -= len(p)
			continue
		}
		n += copy(b[n:], p[skip:])
		skip = 0
		if n == len(b) {
			break
		}
	}
	return n
}

// scatter copies b to pieces, which are at least as large.
func scatter(pieces [][]byte, b []byte) {
	for _, p := range pieces {
		b = b[copy(p, b):]
	}
}

// aim makes the data of a request what is in pieces, after a number of bytes.
func (r *request) aim(pieces [][]byte, skip, size uint64) {
	for _, p := range pieces {
		n := uint64(len(p))
		if skip >= n {
			skip -= n
			continue
		}
		p, skip = p[skip:], 0
		p = p[:min(uint64(len(p)), size)]
		if len(p) == 0 {
			break
		}
		size -= uint64(len(p))
		v := unix.Iovec{Base: &p[0]}
		v.SetLen(len(p))
		r.vector = append(r.vector, v)
	}
	r.left = r.vector
	r.offset = int64(r.sector * sectorSize)
}

// advance is that n more bytes were moved.
func (r *request) advance(n uint64) {
	r.moved += uint32(n)
	r.offset += int64(n)
	for n > 0 {
		v := &r.left[0]
		if n < v.Len {
			v.Base = (*byte)(unsafe.Add(unsafe.Pointer(v.Base), n))
			v.Len -= n
			return
		}
		n -= v.Len
		r.left = r.left[1:]
	}
}

// zero fills what is left.
func (r *request) zero() {
	for _, v := range r.left {
		clear(unsafe.Slice(v.Base, v.Len))
		r.moved += uint32(v.Len)
	}
	r.left = nil
}

// written is how many bytes, from its beginning on, of the part of the buffer that is to
// be written were (2.7.8.2).
func (r *request) written() uint32 {
	n := uint64(0)
	if r.kind == typeIn || r.kind == typeID {
		n = uint64(r.moved)
	}
	if n+1 == total(r.chain.Writable) {
		n++ // and the status
	}
	return uint32(n)
}

// isWithin reports whether sectors are on the disk.
func (d *Device) isWithin(sector, n uint64) bool {
	return sector <= d.sectors && n <= d.sectors-sector
}

// prepare checks a request, and finds out where its data is. It returns statusPending if
// the request is to be done.
func (d *Device) prepare(r *request) byte {
	switch r.kind {
	case typeIn:
		return d.prepareData(r, r.chain.Writable, 0, total(r.chain.Writable)-1)
	case typeOut:
		if d.isReadOnly {
			return statusError
		}
		return d.prepareData(r, r.chain.Readable, headerSize, total(r.chain.Readable)-headerSize)
	case typeDiscard, typeWriteZeroes:
		if d.isReadOnly {
			return statusError
		}
		return d.prepareSpans(r)
	case typeID:
		if total(r.chain.Writable)-1 < idSize {
			return statusError
		}
		scatter(r.chain.Writable, d.id[:])
		r.moved = idSize
		return statusOK
	case typeFlush:
		return statusPending
	}
	return statusUnsupported
}

func (d *Device) prepareData(r *request, pieces [][]byte, skip, size uint64) byte {
	switch {
	case size%sectorSize != 0 || !d.isWithin(r.sector, size/sectorSize):
		return statusError
	case size == 0:
		return statusOK
	}
	r.aim(pieces, skip, size)
	return statusPending
}

// prepareSpans copies the ranges of a discard or a write of zeros, and checks them all
// before anything is done.
func (d *Device) prepareSpans(r *request) byte {
	size, most := total(r.chain.Readable)-headerSize, uint64(maxDiscard)
	if r.kind == typeWriteZeroes {
		most = maxZeroes
	}
	switch {
	case size == 0 || size%rangeSize != 0:
		return statusError
	case size > maxRanges*rangeSize:
		return statusUnsupported
	}
	isWithin := true
	for at := 0; at < int(size); at += rangeSize {
		var b [rangeSize]byte
		gather(b[:], r.chain.Readable, headerSize+at)
		sector, n := binary.LittleEndian.Uint64(b[:]), uint64(binary.LittleEndian.Uint32(b[8:]))
		flags := binary.LittleEndian.Uint32(b[12:])
		if flags&^flagUnmap != 0 || flags != 0 && r.kind == typeDiscard {
			return statusUnsupported // (5.2.6.2)
		}
		if n > most || !d.isWithin(sector, n) {
			isWithin = false
			continue // flags of others come first
		}
		if n > 0 {
			r.spans = append(r.spans, span{int64(sector * sectorSize), int64(n * sectorSize), flags != 0})
		}
	}
	if !isWithin {
		return statusError
	}
	return statusPending
}
