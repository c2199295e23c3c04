package memory

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Large is the size of a large page.
const Large = 2 << 20

// mapAligned maps a part of a file to where large pages can be: addresses here and in the
// guest are multiples of [Large] together.
func mapAligned(file *os.File, offset int64, size uintptr) ([]byte, error) {
	place, err := unix.MmapPtr(-1, 0, nil, size+Large, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	before := -uintptr(place) % Large
	at := unsafe.Add(place, before)
	if _, err := unix.MmapPtr(int(file.Fd()), offset, at, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE|unix.MAP_FIXED); err != nil {
		_ = unix.MunmapPtr(place, size+Large)
		return nil, os.NewSyscallError("mmap", err)
	}
	for _, rest := range []struct {
		at   unsafe.Pointer
		size uintptr
	}{{place, before}, {unsafe.Add(at, size), Large - before}} {
		if rest.size > 0 {
			if err := unix.MunmapPtr(rest.at, rest.size); err != nil {
				return nil, os.NewSyscallError("munmap", err)
			}
		}
	}
	return unsafe.Slice((*byte)(at), size), nil
}

func unmap(b []byte) error {
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)))
}

// Prepare has the host put large pages where the guest will soon use most of n bytes from
// an address on. Otherwise each 4 KiB are a page fault here, and another exit of the guest.
// A host that can't do it (Linux before 6.1, or no such page is free) is only slower.
func (m *Memory) Prepare(address, n uint64) {
	for _, r := range m.regions {
		from, to := max(address, r.Start), min(address+n, r.Start+uint64(len(r.Bytes)))
		for at := from &^ (Large - 1); at < to; at += Large {
			b := r.Bytes[at-r.Start:]
			if len(b) < Large {
				break
			}
			// There must be a page for others to be joined to.
			if unix.Madvise(b[:Page], unix.MADV_POPULATE_WRITE) != nil || unix.Madvise(b[:Large], unix.MADV_COLLAPSE) != nil {
				return
			}
		}
	}
}
