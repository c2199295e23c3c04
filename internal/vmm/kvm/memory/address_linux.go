package memory

import "unsafe"

// Address is where in the guest a slice begins that [Memory.Slice] has returned, or a
// part of one that is not empty. It returns [ErrRange] for all others.
func (m *Memory) Address(b []byte) (uint64, error) {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	for _, r := range m.regions {
		offset := uint64(at - uintptr(unsafe.Pointer(unsafe.SliceData(r.Bytes)))) // wraps around for slices below
		if size := uint64(len(r.Bytes)); offset < size && uint64(len(b)) <= size-offset {
			return r.Start + offset, nil
		}
	}
	return 0, ErrRange
}
