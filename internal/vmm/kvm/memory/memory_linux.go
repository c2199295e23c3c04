// Package memory is the memory of a guest.
//
// It is a file without a name (memfd), mapped into this process and, by KVM, into the
// guest. Nothing of it is there before it is used, and what the guest gives back goes
// back to the host ([Memory.Discard]).
//
// All that the guest can name is looked up by [Memory.Slice], which hands out nothing
// beyond the guest's memory. What a slice holds may change at any time, as the guest
// runs: whoever decides by it copies it first.
package memory

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Where memory is in the guest's address space: up to 3 GiB from address 0 on, the rest
// from 4 GiB on. Interrupt controllers and devices are in between.
const (
	LowEnd    = 3 << 30
	HighStart = 4 << 30
)

// Page is what memory is given and discarded in.
const Page = 4096

// ErrRange is that something is not in the guest's memory.
var ErrRange = errors.New("outside of the guest's memory")

// Region is memory that follows each other in the guest and here.
type Region struct {
	// Start is where it begins in the guest.
	Start uint64
	// Bytes is where it is here.
	Bytes []byte
	// Offset is where it begins in the file.
	Offset int64
}

// Memory is the memory of one guest. Its methods may be called concurrently, but for
// Close.
type Memory struct {
	file    *os.File
	regions []Region
}

// New makes size bytes of memory, a multiple of [Page], all zero. If huge is set, the
// host is asked for large pages, where it has them. The caller closes it.
func New(size uint64, huge bool) (*Memory, error) {
	if size == 0 || size%Page != 0 || size > 1<<46 {
		return nil, fmt.Errorf("a guest can't have %d bytes of memory", size)
	}
	fd, err := unix.MemfdCreate("guest", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	m := &Memory{file: os.NewFile(uintptr(fd), "guest memory")}
	if err := m.file.Truncate(int64(size)); err != nil {
		_ = m.file.Close()
		return nil, err
	}
	// Whoever else has the file must not make it shorter under us.
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW); err != nil {
		_ = m.file.Close()
		return nil, os.NewSyscallError("fcntl", err)
	}
	if err := m.mapAll(size, huge); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (m *Memory) mapAll(size uint64, huge bool) error {
	low := min(size, LowEnd)
	for _, r := range []struct{ start, offset, size uint64 }{{0, 0, low}, {HighStart, low, size - low}} {
		if r.size == 0 {
			continue
		}
		bytes, err := mapAligned(m.file, int64(r.offset), uintptr(r.size))
		if err != nil {
			return err
		}
		m.regions = append(m.regions, Region{Start: r.start, Bytes: bytes, Offset: int64(r.offset)})
		advice := []int{unix.MADV_DONTDUMP}
		if huge {
			advice = append(advice, unix.MADV_HUGEPAGE)
		}
		for _, a := range advice {
			if err := unix.Madvise(bytes, a); err != nil && !errors.Is(err, unix.EINVAL) {
				return os.NewSyscallError("madvise", err)
			}
		}
	}
	return nil
}

// Regions returns what the memory is made of, in the order of addresses.
func (m *Memory) Regions() []Region { return m.regions }

// Size is how much memory there is, in bytes.
func (m *Memory) Size() uint64 {
	var size uint64
	for _, r := range m.regions {
		size += uint64(len(r.Bytes))
	}
	return size
}

// Slice returns n bytes of the guest's memory from an address on, or [ErrRange] if not
// all of them are in one region.
func (m *Memory) Slice(address, n uint64) ([]byte, error) {
	for _, r := range m.regions {
		offset := address - r.Start // wraps around for addresses below
		if size := uint64(len(r.Bytes)); offset < size && n <= size-offset {
			return r.Bytes[offset : offset+n : offset+n], nil
		}
	}
	return nil, ErrRange
}

// Discard gives whole pages back to the host. They read as zero from then on.
func (m *Memory) Discard(address, n uint64) error {
	if address%Page != 0 || n%Page != 0 {
		return ErrRange
	}
	b, err := m.Slice(address, n)
	if err != nil || n == 0 {
		return err
	}
	return os.NewSyscallError("madvise", unix.Madvise(b, unix.MADV_REMOVE))
}

// File is what holds the memory, for those who save it. It is the memory's own.
func (m *Memory) File() *os.File { return m.file }

// Close unmaps the memory: slices of it must not be used any more.
func (m *Memory) Close() error {
	var failed []error
	for _, r := range m.regions {
		failed = append(failed, os.NewSyscallError("munmap", unmap(r.Bytes)))
	}
	m.regions = nil
	return errors.Join(append(failed, m.file.Close())...)
}
