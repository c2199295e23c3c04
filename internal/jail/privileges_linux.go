package jail

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// become changes who the calling thread is. The order is that of privileges needed:
// groups first, then the user.
func become(u user) error {
	if !u.Change {
		return nil
	}
	groups := make([]uint32, len(u.Groups)+1) // never empty, so that there is an address
	for i, g := range u.Groups {
		groups[i] = uint32(g)
	}
	if e := thisThread(unix.SYS_SETGROUPS, uintptr(len(u.Groups)), uintptr(unsafe.Pointer(&groups[0])), 0); e != 0 {
		return fmt.Errorf("set the groups: %w", e)
	}
	id := uintptr(u.ID)
	if e := thisThread(unix.SYS_SETRESGID, id, id, id); e != 0 {
		return fmt.Errorf("set the group: %w", e)
	}
	if e := thisThread(unix.SYS_SETRESUID, id, id, id); e != 0 {
		return fmt.Errorf("set the user: %w", e)
	}
	return nil
}

// dropBounding takes from the calling thread every capability that an executable
// could give it. Without CAP_SETPCAP it can't, and needn't: no_new_privs keeps
// executables from giving any.
func dropBounding() error {
	for capability := uintptr(0); ; capability++ {
		switch e := thisThread(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, capability, 0); e {
		case 0:
		case unix.EINVAL, unix.EPERM: // beyond the last one, or not allowed
			return nil
		default:
			return fmt.Errorf("drop capability %d: %w", capability, e)
		}
	}
}

// keepCapabilities leaves threads those capabilities whose bits are set in keep, of
// the first 32, if they have them.
func keepCapabilities(call caller, keep uint32) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var now [2]unix.CapUserData
	if err := unix.Capget(&header, &now[0]); err != nil {
		return fmt.Errorf("read the capabilities: %w", err)
	}
	keep &= now[0].Permitted
	data := [2]unix.CapUserData{{Effective: keep, Permitted: keep}}
	// Without this, no_new_privs would not take what is given across execve.
	if e := call(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0); e != 0 {
		return fmt.Errorf("drop ambient capabilities: %w", e)
	}
	if e := call(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0); e != 0 {
		return fmt.Errorf("drop capabilities: %w", e)
	}
	return nil
}

// forbidGains keeps threads, and what they execute, from ever gaining privileges.
func forbidGains(call caller) error {
	if e := call(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); e != 0 {
		return fmt.Errorf("set no_new_privs: %w", e)
	}
	return nil
}
