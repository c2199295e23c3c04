// Package vmm runs virtual machines. An [Engine] is one way to do it; each has
// a folder of its own; package engines knows them all and picks the best that
// works on this host.
//
// A [Spec] says what machine to start; a [Machine] is one that runs, and owns
// its process and descriptors until [Machine.Wait] returns.
package vmm

import (
	"context"
	"time"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/network/link"
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
	// Start boots a machine in a jail. ctx bounds the start only. The machine
	// lives until it ends by itself or Kill is called.
	Start(ctx context.Context, spec Spec, plan jail.Plan) (Machine, error)
}

// Machine is a running virtual machine. Its methods may be called concurrently.
type Machine interface {
	// Portal opens byte streams to the agent.
	Portal() portal.Dialer
	// Network is the host's end of the network card, or nil if there is none. It is
	// the caller's to close; a machine that nobody receives from can't send.
	Network() link.Endpoint
	// PID is the process that runs the machine.
	PID() int
	// Wait blocks until the machine has ended and nothing of it is left, and
	// says how. Every call returns the same.
	Wait() Outcome
	// Pause stops all virtual CPUs; Resume lets them go on. Either does nothing
	// to a machine that is so already.
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
	// Kill ends the machine at once. Wait returns soon after.
	Kill() error
}

// Capability says how an engine runs guests on this host. It is all that an
// engine must know to start machines, in this process or another.
type Capability struct {
	// Engine is the engine's name.
	Engine string `json:"engine"`
	// Accelerator is "kvm", "hvf" or "tcg".
	Accelerator string `json:"accelerator"`
	// Isolation is what stands between guest and host, for people:
	// "hardware VM" or "emulated VM".
	Isolation string `json:"isolation"`
	// Note tells why it is not the best there is, such as why KVM can't be
	// used here. It may be empty.
	Note string `json:"note,omitempty"`
	// Program is the executable that runs the machines, or empty if that is
	// the engine's own.
	Program string `json:"program,omitempty"`
	// TSCKHz is the rate of the time-stamp counter that an emulated guest sees,
	// or 0 if it needn't be told.
	TSCKHz int `json:"tsc_khz,omitempty"`
	// Transient means that the reason in Note may pass at any time, so that the
	// answer must not be kept.
	Transient bool `json:"-"`
}

// The isolation labels.
const (
	IsolationHardware = "hardware VM"
	IsolationEmulated = "emulated VM"
)

// Spec is a machine to start.
type Spec struct {
	// Box is the ID of the box. Its jail is named after it.
	Box string `json:"box"`
	// Kernel is an uncompressed ELF vmlinux, Initrd a newc cpio archive.
	Kernel string `json:"kernel"`
	Initrd string `json:"initrd"`
	// CPUs is the number of virtual CPUs, from 1 to MaxCPUs.
	CPUs int `json:"cpus"`
	// MemoryMiB is the guest's memory, at least MinMemoryMiB.
	MemoryMiB int `json:"memory_mib"`
	// HugePages asks the host for large pages. QEMU always does.
	HugePages bool `json:"huge_pages,omitempty"`
	// Disks become virtio block devices, in this order.
	Disks []Disk `json:"disks"`
	// MAC is the address of the network card. Without one there is no card.
	MAC string `json:"mac,omitempty"`
	// Console is a file to which the guest's console is appended. When it has
	// grown large, it gets the suffix ".1" and a new one is begun.
	Console string `json:"console"`
}

// Disk is a raw disk image.
type Disk struct {
	Path string `json:"path"`
	// Serial is how the guest finds it: up to 20 letters, digits, dots, dashes
	// and underscores.
	Serial string `json:"serial"`
	// ReadOnly disks may be shared by any number of machines. Others pass
	// discarded blocks to the file.
	ReadOnly bool `json:"read_only"`
}

// Outcome says how a machine ended.
type Outcome struct {
	// Reason is one of the Reason constants.
	Reason Reason
	// Err tells more, but for ReasonOff and ReasonKilled.
	Err error
	// Console is the end of what the guest's console said, for people: a few lines
	// without control characters. After a panic it is what came before that.
	Console string
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
	// ReasonOutOfMemory means that the host's kernel killed the VMM because it had
	// reached its limit on memory.
	ReasonOutOfMemory Reason = "out of memory"
	// ReasonKilled means that Kill was called.
	ReasonKilled Reason = "killed"
	// ReasonFailed means that the VMM itself failed or was killed by another.
	ReasonFailed Reason = "failed"
)
