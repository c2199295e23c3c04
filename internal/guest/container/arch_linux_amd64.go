package container

import "golang.org/x/sys/unix"

const (
	auditArch  = unix.AUDIT_ARCH_X86_64
	elfMachine = 62 // EM_X86_64
)

// initCode takes the name that follows it, becomes non-dumpable, and waits.
const initCode = "" +
	"\xb8\x9d\x00\x00\x00" + //         mov eax, 157 (prctl)
	"\xbf\x0f\x00\x00\x00" + //         mov edi, 15 (PR_SET_NAME)
	"\x48\x8d\x35\x19\x00\x00\x00" + // lea rsi, [rip+25] (the name)
	"\x0f\x05" + //                     syscall
	"\xb8\x9d\x00\x00\x00" + //         mov eax, 157 (prctl)
	"\xbf\x04\x00\x00\x00" + //         mov edi, 4 (PR_SET_DUMPABLE)
	"\x31\xf6" + //                     xor esi, esi
	"\x0f\x05" + //                     syscall
	"\xb8\x22\x00\x00\x00" + // wait:   mov eax, 34 (pause)
	"\x0f\x05" + //                     syscall
	"\xeb\xf7" //                       jmp wait
