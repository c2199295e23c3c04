package kvmprobe

import (
	"errors"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Why KVM can't be used. Every error of Probe wraps one of them, or is the
// context's.
var (
	// ErrNoDevice means that there is no /dev/kvm.
	ErrNoDevice = errors.New("there is no /dev/kvm")
	// ErrPermission means that this user may not use /dev/kvm.
	ErrPermission = errors.New("no permission to use /dev/kvm")
	// ErrVersion means that /dev/kvm speaks another version of its API.
	ErrVersion = errors.New("/dev/kvm is not as expected")
	// ErrCreate means that no virtual machine could be made.
	ErrCreate = errors.New("/dev/kvm makes no virtual machine")
	// ErrGuest means that a virtual machine could be made, but no ordinary guest
	// runs on it.
	ErrGuest = errors.New("/dev/kvm is there, but no ordinary guest runs on it")
	// ErrTooSlow means that the guest ran, but did not end in time.
	ErrTooSlow = errors.New("/dev/kvm is there, but the probe's guest did not end in time")
	// ErrUnsupported means that this system has no KVM that we know.
	ErrUnsupported = errors.New("no KVM on this system")
)

var hints = map[error]string{
	ErrNoDevice: "enable virtualization (VT-x or AMD-V) in the firmware, or nested virtualization in the " +
		"virtual machine or cloud instance that this is, then load the module kvm_intel or kvm_amd",
	ErrPermission: "sudo usermod -aG kvm $USER, then log in again",
	ErrVersion:    "update the host's kernel",
	ErrCreate:     "see whether another hypervisor has taken the processor's virtualization, and what dmesg says",
	ErrGuest: "nested virtualization is missing: enable it for the virtual machine or cloud instance that this is, " +
		"or use one that has it",
	ErrTooSlow: "try again when the host is less busy",
}

// Transient reports whether the cause of an error of Probe may pass by itself.
func Transient(err error) bool {
	return errors.Is(err, ErrTooSlow) || errors.Is(err, ErrCreate)
}

// fail wraps a reason, and what in particular is behind it.
func fail(reason, cause error) error {
	err := reason
	if cause != nil {
		err = &because{reason, cause}
	}
	return &protocol.Error{
		Kind: protocol.KindUnsupportedEngine, Op: "probe KVM", Hint: hints[reason], Err: err,
	}
}

// because is a reason with its cause.
type because struct{ reason, cause error }

func (b *because) Error() string   { return b.reason.Error() + ": " + b.cause.Error() }
func (b *because) Unwrap() []error { return []error{b.reason, b.cause} }
