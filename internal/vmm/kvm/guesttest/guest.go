// Package guesttest makes tiny guests for tests: programs of some instructions, in a file
// that boots as a kernel does. They run in 32-bit protected mode, without paging, and
// without a stack or interrupts.
package guesttest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// start is where the program is in the guest's memory.
const start = 0x100000

// Pieces of programs.
const (
	// Reset ends the machine as Linux does.
	Reset = "\xb0\xfe\xe6\x64" // mov al, 0xfe; out 0x64, al
	// Forever stays where it is.
	Forever = "\xeb\xfe" // jmp .
	// Fault is an instruction that there is not, where nothing handles that.
	Fault = "\x0f\x0b" // ud2
)

// Say prints a text where the guest has no driver for its console.
func Say(text string) string {
	code := "\x66\xba\xf8\x03" // mov dx, 0x3f8
	for _, b := range []byte(text) {
		code += "\xb0" + string([]byte{b}) + "\xee" // mov al, b; out dx, al
	}
	return code
}

// Where a guest of Count has what it counts, and what ends that.
const (
	Counter = 0x200000
	Enough  = 0x200004
)

// Count counts, by ones, until there is anything else than zero at Enough.
const Count = "\xff\x05\x00\x00\x20\x00" + // back: inc dword [0x200000]
	"\x83\x3d\x04\x00\x20\x00\x00" + // cmp dword [0x200004], 0
	"\x74\xf1" // je back

// Storm stores random values to random registers of the first 16 devices, count times,
// loads from there as well, and stores to memory, where queues may have been put. Every
// other value is small, as most are that mean something.
func Storm(seed, count uint32) string {
	next := "\x89\xd8\xc1\xe0\x0d\x31\xc3" + // mov eax, ebx; shl eax, 13; xor ebx, eax
		"\x89\xd8\xc1\xe8\x11\x31\xc3" + // mov eax, ebx; shr eax, 17; xor ebx, eax
		"\x89\xd8\xc1\xe0\x05\x31\xc3" // mov eax, ebx; shl eax, 5; xor ebx, eax
	loop := next +
		"\x89\xdf\x81\xe7\xfc\xf1\x00\x00\x81\xcf\x00\x00\x00\xd0" + // mov edi, ebx; and edi, 0xf1fc; or edi, 0xd0000000
		next +
		"\x89\xd8" + // mov eax, ebx
		"\xf7\xc3\x00\x00\x01\x00" + // test ebx, 0x10000
		"\x74\x05\x83\xe0\x0f\x90\x90" + // jz +5; and eax, 15
		"\x89\x07" + // mov [edi], eax
		"\x8b\x17" + // mov edx, [edi]
		"\x89\xdf\x81\xe7\xfc\xff\x0f\x00\x81\xc7\x00\x00\x20\x00" + // mov edi, ebx; and edi, 0xffffc; add edi, 0x200000
		"\x89\x07" + // mov [edi], eax
		"\x49" // dec ecx
	back := -(len(loop) + 6)
	loop += "\x0f\x85" + string(binary.LittleEndian.AppendUint32(nil, uint32(int32(back)))) // jnz loop
	return "\xbb" + string(binary.LittleEndian.AppendUint32(nil, seed|1)) +                 // mov ebx, seed
		"\xb9" + string(binary.LittleEndian.AppendUint32(nil, count)) + // mov ecx, count
		loop
}

// Kernel is a program as a kernel with a PVH entry.
func Kernel(program string) []byte {
	const headerSize, segmentSize, segments = 64, 56, 2
	note := []byte{4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, 'X', 'e', 'n', 0}
	note = binary.LittleEndian.AppendUint32(note, start)
	notes := uint64(headerSize + segments*segmentSize)
	code := notes + uint64(len(note))
	var out bytes.Buffer
	write := func(v any) { _ = binary.Write(&out, binary.LittleEndian, v) } // never fails
	header := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Entry: start, Phoff: headerSize,
		Ehsize: headerSize, Phentsize: segmentSize, Phnum: segments,
	}
	copy(header.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	write(header)
	size := uint64(len(program))
	write(elf.Prog64{Type: uint32(elf.PT_LOAD), Off: code, Vaddr: start, Paddr: start, Filesz: size, Memsz: size})
	write(elf.Prog64{Type: uint32(elf.PT_NOTE), Off: notes, Filesz: uint64(len(note)), Memsz: uint64(len(note))})
	out.Write(note)
	out.WriteString(program)
	return out.Bytes()
}
