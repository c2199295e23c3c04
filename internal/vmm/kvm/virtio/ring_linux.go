package virtio

import (
	"sync/atomic"
	"unsafe"
)

// The guest's processors read and write the rings while we do. The fields by which the
// two sides find each other have 16 bits, for which Go has no atomic operations, so the
// aligned word is used that they are in. Both sides are little-endian (2.4), as all
// machines are that KVM runs such guests on.

// word returns the aligned word that a field of b is in, and where in it that is. The
// field's offset is even. b begins at an even address of memory that is mapped in pages,
// so the word is mapped if the field is.
func word(b []byte, offset int) (w *uint32, shift uint) {
	p := unsafe.Pointer(&b[offset : offset+2][0])
	if uintptr(p)&2 == 0 {
		return (*uint32)(p), 0
	}
	return (*uint32)(unsafe.Add(p, -2)), 16
}

// Load16 reads a field before anything that is read after it.
func Load16(b []byte, offset int) uint16 {
	w, shift := word(b, offset)
	return uint16(atomic.LoadUint32(w) >> shift)
}

// Store16 writes a field after all that was written before it, and before anything that
// is read after it.
func Store16(b []byte, offset int, value uint16) {
	w, shift := word(b, offset)
	for {
		old := atomic.LoadUint32(w)
		if atomic.CompareAndSwapUint32(w, old, old&^(0xffff<<shift)|uint32(value)<<shift) {
			return
		}
	}
}
