package container

import (
	"errors"

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
