package container

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// capData is the second argument of capset: the lower and the upper 32.
type capData [2]unix.CapUserData

// capHeader names the calling thread.
func capHeader() *unix.CapUserHeader {
	return &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
}

// startCaps returns what a process has before it changes its user, which takes
// two more than it may have. Nothing is inheritable or ambient: what it has after
// execve is bounded by limitCapabilities.
func startCaps(caps protocol.Capabilities) *capData {
	caps |= 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID
	lower, upper := uint32(caps&0xffffffff), uint32(caps>>32)
	return &capData{
		{Effective: lower, Permitted: lower},
		{Effective: upper, Permitted: upper},
	}
}

// checkCapabilities refuses what leads out of the container, whoever asks for it.
func checkCapabilities(caps protocol.Capabilities) error {
	if over := caps &^ protocol.AllCapabilities; over != 0 {
		return &protocol.Error{
			Kind: protocol.KindUnsupported, Op: "give the container capabilities",
			Err: fmt.Errorf("no container can have these: %#x %v", uint64(over), over.Names()),
		}
	}
	return nil
}

// limitCapabilities bounds what the calling thread's children can ever gain, set-
// user-ID programs included. The thread itself keeps what it has.
func limitCapabilities(caps protocol.Capabilities) error {
	for n := range uintptr(64) {
		if caps>>n&1 != 0 {
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
