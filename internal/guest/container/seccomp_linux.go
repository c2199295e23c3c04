package container

import (
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

//go:generate go run ./seccompgen .

// Every process is under two filters. The first, filter, is Docker's default
// profile; wideFilter where the container has capabilities that it takes to make
// use of more system calls. Loading it takes longer than all else that a process's start needs,
// so the thread that starts processes loads it once and they inherit it. But two
// system calls must be left for the start itself: clone3, without which there is
// no birth in a cgroup, and setns. The second filter, which each process loads
// for itself, is short and denies those.

// Offsets in the kernel's struct seccomp_data.
const (
	dataNumber = 0
	dataArch   = 4
)

// wide are the capabilities for which there is wideFilter.
const wide = 1<<unix.CAP_SYS_NICE | 1<<unix.CAP_SYS_TIME | 1<<unix.CAP_SYS_TTY_CONFIG | 1<<unix.CAP_SYSLOG

// threadFilter returns the first filter.
func threadFilter(caps protocol.Capabilities) []unix.SockFilter {
	first := filter[:]
	if caps&wide != 0 {
		first = wideFilter[:]
	}
	const allow = unix.SECCOMP_RET_ALLOW
	return slices.Concat([]unix.SockFilter{
		load(dataArch),
		jump(auditArch, 0, 4),
		load(dataNumber),
		jump(unix.SYS_CLONE3, 1, 0),
		jump(unix.SYS_SETNS, 0, 1),
		{Code: unix.BPF_RET, K: allow},
	}, first)
}

// processFilter is the second filter.
var processFilter = [...]unix.SockFilter{
	load(dataArch),
	jump(auditArch, 0, 3),
	load(dataNumber),
	jump(unix.SYS_CLONE3, 2, 0),
	jump(unix.SYS_SETNS, 2, 0),
	{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW},
	{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
	{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

// jump skips some instructions, depending on whether what is loaded equals k.
func jump(k uint32, equal, other uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ, Jt: equal, Jf: other, K: k}
}

// loadThreadFilter puts the calling thread under the first filter. It takes
// CAP_SYS_ADMIN, as no_new_privs would take the power of set-user-ID programs.
func loadThreadFilter(caps protocol.Capabilities) error {
	prog := sockFprog(threadFilter(caps))
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(prog)))
	if errno != 0 {
		return fmt.Errorf("load the seccomp filter: %w", errno)
	}
	return nil
}

// addFilter puts the new process under the second filter.
func (p *program) addFilter() {
	prog := p.ref(unsafe.Pointer(sockFprog(processFilter[:])))
	p.add("load the seccomp filter", unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, prog)
}

func sockFprog(code []unix.SockFilter) *unix.SockFprog {
	return &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
}
