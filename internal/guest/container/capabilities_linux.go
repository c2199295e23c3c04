package container

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// capabilities are those of root in the container: Docker's default.
const capabilities = 1<<unix.CAP_CHOWN |
	1<<unix.CAP_DAC_OVERRIDE |
	1<<unix.CAP_FOWNER |
	1<<unix.CAP_FSETID |
	1<<unix.CAP_KILL |
	1<<unix.CAP_SETGID |
	1<<unix.CAP_SETUID |
	1<<unix.CAP_SETPCAP |
	1<<unix.CAP_NET_BIND_SERVICE |
	1<<unix.CAP_NET_RAW |
	1<<unix.CAP_SYS_CHROOT |
	1<<unix.CAP_MKNOD |
	1<<unix.CAP_AUDIT_WRITE |
	1<<unix.CAP_SETFCAP

// capData is the second argument of capset: the lower and the upper 32.
type capData [2]unix.CapUserData

// capHeader names the calling thread.
func capHeader() *unix.CapUserHeader {
	return &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
}

// containerCaps returns what a process has before it changes its user. Nothing
// is inheritable or ambient.
func containerCaps() *capData {
	lower, upper := uint32(capabilities&0xffffffff), uint32(capabilities>>32)
	return &capData{
		{Effective: lower, Permitted: lower},
		{Effective: upper, Permitted: upper},
	}
}

// limitCapabilities bounds what the calling thread's children can ever gain, set-
// user-ID programs included. The thread itself keeps what it has.
func limitCapabilities() error {
	for n := range uintptr(64) {
		if capabilities>>n&1 != 0 {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, n, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			return nil // the kernel knows no more
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dropAllCapabilities takes every capability from every thread of the process.
func dropAllCapabilities() error {
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(capHeader())), uintptr(unsafe.Pointer(new(capData))), 0)
	switch errno {
	case 0:
		return nil
	case unix.ENOTSUP: // built with cgo, as under the race detector
		return unix.Capset(capHeader(), &new(capData)[0])
	}
	return errno
}
