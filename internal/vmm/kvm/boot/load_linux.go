package boot

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/memory"
)

// Where things are in the guest's address space.
const (
	startInfo   = 0x6000
	modules     = 0x6100
	memoryMap   = 0x6200
	commandLine = 0x7000
	mpTable     = 0xf0000
	// highMemory is where memory begins that was never anything else.
	highMemory = 0x100000
	// lowMemory is how much there is below what PCs had in between.
	lowMemory = 0xa0000

	ioAPIC = 0xfec00000
	lAPIC  = 0xfee00000
)

// Machine is what the kernel is told of.
type Machine struct {
	Memory  *memory.Memory
	CPUs    int
	Devices int
	// Command is the kernel's command line, without what leads it to its devices.
	Command string
}

// Entry is how a processor has to begin.
type Entry struct {
	// RIP is its first instruction's address, and RBX what that register must hold.
	RIP, RBX uint64
}

// bad is that a file, or a machine, is of no use.
func bad(format string, args ...any) error { return fmt.Errorf(format, args...) }

// Load puts the kernel and the initrd into memory, and all that they have to know.
func Load(m Machine, kernel, initrd *os.File) (Entry, error) {
	entry, end, err := loadKernel(m.Memory, kernel)
	if err != nil {
		return Entry{}, fmt.Errorf("load the kernel: %w", err)
	}
	at, size, err := loadInitrd(m.Memory, initrd, bootConfig(m.Devices), end)
	if err != nil {
		return Entry{}, fmt.Errorf("load the initrd: %w", err)
	}
	prepareFirst(m.Memory, at)
	if err := writeMPTable(m.Memory, m.CPUs); err != nil {
		return Entry{}, err
	}
	if err := writeStartInfo(m, at, size); err != nil {
		return Entry{}, err
	}
	return Entry{RIP: entry, RBX: startInfo}, nil
}

// loadKernel reads the segments of an ELF file to where they belong. It returns where to
// enter, and where the kernel ends.
func loadKernel(m *memory.Memory, file *os.File) (entry, end uint64, err error) {
	f, err := elf.NewFile(file)
	if err != nil {
		return 0, 0, err
	}
	if f.Class != elf.ELFCLASS64 || f.Machine != elf.EM_X86_64 {
		return 0, 0, bad("it is for another kind of processor: %v", f.Machine)
	}
	for _, p := range f.Progs {
		switch p.Type {
		case elf.PT_LOAD:
			if p.Paddr < highMemory || p.Filesz > p.Memsz || p.Paddr+p.Memsz < p.Paddr {
				return 0, 0, bad("a segment is for address %#x", p.Paddr)
			}
			b, err := m.Slice(p.Paddr, p.Memsz)
			if err != nil {
				return 0, 0, bad("it needs memory at %#x: %w", p.Paddr+p.Memsz, err)
			}
			if last := p.Paddr + p.Memsz; last > end {
				m.Prepare(end, last-end) // also what is below the kernel, which it takes early
				end = last
			}
			// What is beyond is zero already.
			if _, err := file.ReadAt(b[:p.Filesz], int64(p.Off)); err != nil {
				return 0, 0, err
			}
		case elf.PT_NOTE:
			if p.Filesz > 1<<20 {
				return 0, 0, bad("notes of %d bytes", p.Filesz)
			}
			notes := make([]byte, p.Filesz)
			if _, err := file.ReadAt(notes, int64(p.Off)); err != nil {
				return 0, 0, err
			}
			if found, ok := pvhEntry(notes); ok {
				entry = found
			}
		}
	}
	if entry == 0 {
		return 0, 0, errors.New("it has no PVH entry (CONFIG_PVH)")
	}
	return entry, end, nil
}

// pvhEntry looks for the note that tells where to enter (XEN_ELFNOTE_PHYS32_ENTRY).
func pvhEntry(notes []byte) (entry uint64, ok bool) {
	const head, owner, physical32Entry = 12, "Xen\x00", 18
	align := func(n uint32) uint64 { return (uint64(n) + 3) &^ 3 }
	for len(notes) >= head {
		name, size := binary.LittleEndian.Uint32(notes), binary.LittleEndian.Uint32(notes[4:])
		kind := binary.LittleEndian.Uint32(notes[8:])
		notes = notes[head:]
		if align(name)+align(size) > uint64(len(notes)) {
			return 0, false
		}
		content := notes[align(name):][:size]
		if kind == physical32Entry && string(notes[:name]) == owner {
			switch len(content) {
			case 4:
				return uint64(binary.LittleEndian.Uint32(content)), true
			case 8:
				return binary.LittleEndian.Uint64(content), true
			}
		}
		notes = notes[align(name)+align(size):]
	}
	return 0, false
}

// loadInitrd reads the initrd, and puts what belongs behind it, to the end of the memory
// below 3 GiB, but not over what the kernel has.
func loadInitrd(m *memory.Memory, file *os.File, behind []byte, kernelEnd uint64) (at, size uint64, err error) {
	info, err := file.Stat()
	if err != nil {
		return 0, 0, err
	}
	fileSize := uint64(info.Size())
	if fileSize == 0 {
		return 0, 0, errors.New("it is empty")
	}
	size = fileSize + uint64(len(behind))
	low := uint64(len(m.Regions()[0].Bytes))
	if size > low || low-size < kernelEnd {
		return 0, 0, bad("%d bytes are more than memory has left", size)
	}
	at = (low - size) &^ (memory.Page - 1)
	if at < kernelEnd {
		return 0, 0, bad("%d bytes are more than memory has left", size)
	}
	b, err := m.Slice(at, size)
	if err != nil {
		return 0, 0, err
	}
	m.Prepare(at, size)
	if _, err := io.ReadFull(io.NewSectionReader(file, 0, int64(fileSize)), b[:fileSize]); err != nil {
		return 0, 0, err
	}
	copy(b[fileSize:], behind)
	return at, size, nil
}

// prepareFirst prepares what Linux uses first of its memory: the end of all, or what is before
// the initrd if that is there. Most of it describes the other pages, with 64 bytes each.
func prepareFirst(m *memory.Memory, initrd uint64) {
	regions := m.Regions()
	last := regions[len(regions)-1]
	end := initrd
	if len(regions) > 1 {
		end = last.Start + uint64(len(last.Bytes))
	}
	first := min(m.Size()/memory.Page*64+4<<20, end-last.Start)
	m.Prepare(end-first, first)
}

// writeStartInfo writes struct hvm_start_info, and what it leads to.
func writeStartInfo(m Machine, initrd, initrdSize uint64) error {
	const magic, version, ram, reserved = 0x336ec578, 1, 1, 2
	command := m.Command + " " + bootConfigWord
	if len(command) > MaxCommandLine || strings.ContainsRune(command, 0) {
		return bad("the kernel's command line has %d bytes, and can have %d", len(command), MaxCommandLine)
	}
	type entry struct {
		address, size uint64
		kind          uint32
	}
	regions := m.Memory.Regions()
	entries := []entry{
		{0, lowMemory, ram},
		{mpTable, highMemory - mpTable, reserved},
		{highMemory, uint64(len(regions[0].Bytes)) - highMemory, ram},
	}
	for _, r := range regions[1:] {
		entries = append(entries, entry{r.Start, uint64(len(r.Bytes)), ram})
	}
	le := binary.LittleEndian
	var info, list, memmap []byte
	for _, v := range []uint32{magic, version, 0, 1} {
		info = le.AppendUint32(info, v)
	}
	for _, v := range []uint64{modules, commandLine, 0 /* no ACPI */, memoryMap} {
		info = le.AppendUint64(info, v)
	}
	info = le.AppendUint32(info, uint32(len(entries)))
	info = le.AppendUint32(info, 0)
	for _, v := range []uint64{initrd, initrdSize, 0, 0} {
		list = le.AppendUint64(list, v)
	}
	for _, e := range entries {
		memmap = le.AppendUint64(memmap, e.address)
		memmap = le.AppendUint64(memmap, e.size)
		memmap = le.AppendUint32(memmap, e.kind)
		memmap = le.AppendUint32(memmap, 0)
	}
	for at, content := range map[uint64][]byte{
		startInfo: info, modules: list, memoryMap: memmap, commandLine: append([]byte(command), 0),
	} {
		if err := write(m.Memory, at, content); err != nil {
			return err
		}
	}
	return nil
}

func write(m *memory.Memory, at uint64, content []byte) error {
	b, err := m.Slice(at, uint64(len(content)))
	if err == nil {
		copy(b, content)
	}
	return err
}
