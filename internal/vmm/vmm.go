// Package vmm runs virtual machines. An [Engine] is one way to do it; each has
// a folder of its own. [Select] picks the best engine that works on this host.
//
// A [Spec] says what machine to start; a [Machine] is one that runs, and owns
// its process and descriptors until [Machine.Wait] returns.
package vmm

import (
	"context"
	"time"

	"github.com/boxlite-go/boxlite/internal/portal"
)

// Engine is one way to run virtual machines.
type Engine interface {
	// Name is "qemu", "kvm", …
	Name() string
	// Probe finds out whether a guest really runs on this host, and how. The
	// error is a *protocol.Error of kind UnsupportedEngine whose hint says what
	// to do.
	Probe(ctx context.Context) (Capability, error)
	// Start boots a machine. ctx bounds the start only. The machine lives until
	// it ends by itself or Kill is called.
	Start(ctx context.Context, spec Spec) (Machine, error)
}

// Machine is a running virtual machine. Its methods may be called concurrently.
type Machine interface {
	// Portal opens byte streams to the agent.
	Portal() portal.Dialer
	// PID is the process that runs the machine.
	PID() int
	// Wait blocks until the machine has ended and nothing of it is left, and
	// says how. Every call returns the same.
	Wait() Outcome
	// Kill ends the machine at once. Wait returns soon after.
	Kill() error
}

// Capability says how an engine runs guests on this host.
type Capability struct {
	// Engine is the engine's name.
	Engine string
	// Accelerator is "kvm", "hvf" or "tcg".
	Accelerator string
	// Isolation is what stands between guest and host, for people:
	// "hardware VM" or "emulated VM".
	Isolation string
	// Note tells why it is not the best there is, such as why KVM can't be
	// used here. It may be empty.
	Note string
}

// Spec is a machine to start.
type Spec struct {
	// Kernel is an uncompressed ELF vmlinux, Initrd a newc cpio archive.
	Kernel string `json:"kernel"`
	Initrd string `json:"initrd"`
	// CPUs is the number of virtual CPUs, at least 1.
	CPUs int `json:"cpus"`
	// MemoryMiB is the guest's memory, at least 64.
	MemoryMiB int `json:"memory_mib"`
	// Disks become virtio block devices, in this order.
	Disks []Disk `json:"disks"`
	// Console is a file to which the guest's console is appended.
	Console string `json:"console"`
}

// Disk is a raw disk image.
type Disk struct {
	Path string `json:"path"`
	// Serial is how the guest finds it, at most 20 bytes.
	Serial string `json:"serial"`
	// ReadOnly disks may be shared by any number of machines. Others pass
	// discarded blocks to the file.
	ReadOnly bool `json:"read_only"`
}

// Outcome says how a machine ended.
type Outcome struct {
	// Reason is one of the Reason constants.
	Reason Reason
	// Err tells more where Reason is ReasonFailed.
	Err error
	// At is when it ended.
	At time.Time
}

// Reason is why a machine ended.
type Reason string

const (
	// ReasonOff means that the guest powered off or rebooted.
	ReasonOff Reason = "off"
	// ReasonPanic means that the guest's kernel panicked.
	ReasonPanic Reason = "panic"
	// ReasonKilled means that Kill was called.
	ReasonKilled Reason = "killed"
	// ReasonFailed means that the VMM itself failed or was killed by another.
	ReasonFailed Reason = "failed"
)
