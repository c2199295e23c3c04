package boot

import (
	"encoding/binary"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/memory"
)

// MaxCPUs is how many processors the MP table can tell of: their numbers have eight bits,
// one is the IOAPIC's and one means all.
const MaxCPUs = 254

// Kinds of entries in the MP table (section 4.3 of its specification), and of interrupts.
const (
	mpProcessor = 0
	mpBus       = 1
	mpIOAPIC    = 2
	mpInterrupt = 3
	mpLocal     = 4

	vectored = 0
	nmi      = 1
	external = 3
)

// writeMPTable tells the kernel of processors and interrupts.
func writeMPTable(m *memory.Memory, cpus int) error {
	if cpus < 1 || cpus > MaxCPUs {
		return bad("a machine can't have %d processors", cpus)
	}
	const (
		enabled, boot = 1, 2
		versionAPIC   = 0x14
		versionIOAPIC = 0x11
		isa           = 0
		allAPICs      = 0xff
	)
	ioAPICID := byte(cpus)
	var entries []byte
	count := 0
	add := func(b ...byte) { entries, count = append(entries, b...), count+1 }
	for i := range cpus {
		flags := byte(enabled)
		if i == 0 {
			flags |= boot
		}
		// Signature and features are those of CPUID; what is here, nobody reads.
		add(mpProcessor, byte(i), versionAPIC, flags, 0, 6, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	add(append([]byte{mpBus, isa}, "ISA   "...)...)
	add(binary.LittleEndian.AppendUint32([]byte{mpIOAPIC, ioAPICID, versionIOAPIC, enabled}, ioAPIC)...)
	for i := range byte(lastInterrupt + 1) {
		add(mpInterrupt, vectored, 0, 0, isa, i, ioAPICID, i) // edge-triggered, as ISA's are
	}
	add(mpLocal, external, 0, 0, isa, 0, 0, 0)
	add(mpLocal, nmi, 0, 0, isa, 0, allAPICs, 1)

	const headerSize, floatingSize = 44, 16
	header := []byte("PCMP")
	header = binary.LittleEndian.AppendUint16(header, uint16(headerSize+len(entries)))
	header = append(header, 4, 0) // version 1.4, and the checksum
	header = append(header, "BOXLITE Box         "...)
	header = binary.LittleEndian.AppendUint32(header, 0)
	header = binary.LittleEndian.AppendUint16(header, 0)
	header = binary.LittleEndian.AppendUint16(header, uint16(count))
	header = binary.LittleEndian.AppendUint32(header, lAPIC)
	header = binary.LittleEndian.AppendUint32(header, 0)
	table := append(header, entries...)
	table[7] = checksum(table)

	floating := binary.LittleEndian.AppendUint32([]byte("_MP_"), mpTable+floatingSize)
	floating = append(floating, 1, 4, 0, 0, 0, 0, 0, 0) // one paragraph, version 1.4
	floating[10] = checksum(floating)
	return write(m, mpTable, append(floating, table...))
}

// checksum is what makes the sum of all bytes zero.
func checksum(b []byte) byte {
	var sum byte
	for _, v := range b {
		sum += v
	}
	return -sum
}
