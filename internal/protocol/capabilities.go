package protocol

import (
	"slices"
	"strings"
)

// Capabilities is a set of Linux capabilities: bit n is the one with number n.
type Capabilities uint64

// capabilityNames are the names by number, as in linux/capability.h.
var capabilityNames = [...]string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
	"SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
	"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
	"MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE",
}

// The sets that containers know.
var (
	// DefaultCapabilities are those of root in a container: Docker's.
	DefaultCapabilities = capabilities("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
		"NET_BIND_SERVICE", "NET_RAW", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP")

	// WithheldCapabilities are given to nobody in a container: each leads to the
	// agent, or into the guest's kernel. docs/security.md has the reasons.
	WithheldCapabilities = capabilities("SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "SYS_RAWIO", "SYS_BOOT", "BPF", "PERFMON", "CHECKPOINT_RESTORE")

	// AllCapabilities are those that a container can have.
	AllCapabilities = Capabilities(1<<len(capabilityNames)-1) &^ WithheldCapabilities
)

func capabilities(names ...string) (set Capabilities) {
	for _, name := range names {
		c, _ := CapabilityOf(name)
		set |= c
	}
	return set
}

// CapabilityOf returns the set of the one capability with this name, in upper or
// lower case, with or without CAP_. It reports whether there is one.
func CapabilityOf(name string) (Capabilities, bool) {
	n := slices.Index(capabilityNames[:], CapabilityName(name))
	if n < 0 {
		return 0, false
	}
	return 1 << n, true
}

// CapabilityName returns the name in upper case, without CAP_.
func CapabilityName(name string) string {
	return strings.TrimPrefix(strings.ToUpper(name), "CAP_")
}

// Names lists the set by name.
func (c Capabilities) Names() (names []string) {
	for n, name := range capabilityNames {
		if c>>n&1 != 0 {
			names = append(names, name)
		}
	}
	return names
}
