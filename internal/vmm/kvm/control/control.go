// Package control is what shim and VMM say to each other: over one socket pair of type
// SOCK_SEQPACKET, each message a JSON object, with one descriptor where it says so. The
// shim asks, one thing at a time or several, and the VMM answers each; and once it tells
// how the machine has ended, before it exits.
package control

import (
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Descriptors are the numbers of the files that a VMM inherits, in this order.
const (
	// FDControl is the VMM's end of the socket pair.
	FDControl = 3 + iota
	// FDConsole gets what the guest's console says.
	FDConsole
	// FDGreeting is joined to the connection that the guest makes to port GreetingPort of
	// the host, with which its agent says that it is there.
	FDGreeting
	// FDKVM is /dev/kvm, open.
	FDKVM
	// FDKernel and FDInitrd are the files to boot.
	FDKernel
	FDInitrd
	// FDNetwork is the card's end of a stream socket that carries frames as link.Stream
	// does. Without a card it is /dev/null.
	FDNetwork
	// FDDisks is the first of the disks.
	FDDisks
)

const (
	// GuestCID is the guest's address for sockets.
	GuestCID = protocol.CIDGuest
	// GreetingPort is the host's port to which the agent connects first.
	GreetingPort = protocol.PortGreeting
	// MaxMessage is the longest message, in bytes.
	MaxMessage = 64 << 10
)

// Operations of requests.
const (
	// OpStart starts the machine that Config describes. It is the first request. If the
	// machine is to be restored, the descriptor that comes with it is its state's.
	OpStart = "start"
	// OpDial joins the descriptor that comes with it to a stream to Port of the guest.
	OpDial = "dial"
	// OpPause stops processors and devices, OpResume lets them go on.
	OpPause  = "pause"
	OpResume = "resume"
	// OpSave writes the machine, which is paused, to the descriptor that comes with it: an
	// empty regular file, open for writing.
	OpSave = "save"
)

// Request is what the shim asks.
type Request struct {
	ID     uint64  `json:"id"`
	Op     string  `json:"op"`
	Port   uint32  `json:"port,omitempty"`
	Config *Config `json:"config,omitempty"`
}

// Answer is the VMM's, to the request with the same ID; or, with ID 0, how the machine
// has ended.
type Answer struct {
	ID    uint64 `json:"id"`
	Error string `json:"error,omitempty"`
	End   *End   `json:"end,omitempty"`
}

// Config describes a machine.
type Config struct {
	CPUs      int    `json:"cpus"`
	MemoryMiB int    `json:"memory_mib"`
	HugePages bool   `json:"huge_pages,omitempty"`
	Command   string `json:"command"` // of the kernel, beside what the VMM adds
	MAC       string `json:"mac,omitempty"`
	Disks     []Disk `json:"disks,omitempty"`
	// Restore has the machine go on from a state that was saved, instead of booting.
	Restore bool `json:"restore,omitempty"`
}

// Disk is a disk, the file of which is at FDDisks and what follows.
type Disk struct {
	Serial   string `json:"serial"`
	ReadOnly bool   `json:"read_only,omitempty"`
}

// Reasons for a machine's end.
const (
	// EndReset is that the guest has reset the machine: so it ends itself, whether it
	// wants to, or after a panic.
	EndReset = "reset"
	// EndTripleFault is that a processor could not go on.
	EndTripleFault = "triple fault"
	// EndFailed is that the VMM could not go on.
	EndFailed = "failed"
)

// End is how a machine has ended.
type End struct {
	Reason string `json:"reason"`
	// Error tells more, and Registers what the processor's were, of all but a reset.
	Error     string    `json:"error,omitempty"`
	Registers string    `json:"registers,omitempty"`
	At        time.Time `json:"at"`
}
