package api

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Request is the number of one of KVM's ioctl requests.
type Request uintptr

// Requests that all kinds of processors have.
const (
	GetAPIVersion       Request = 0xae00
	CreateVM            Request = 0xae01
	CheckExtension      Request = 0xae03
	GetVCPUMmapSize     Request = 0xae04
	CreateVCPU          Request = 0xae41
	SetUserMemoryRegion Request = 0x4020ae46
	IRQFD               Request = 0x4020ae76
	IOEventFD           Request = 0x4040ae79
	Run                 Request = 0xae80
)

// Version is the only one of the interface that there is.
const Version = 12

// Capabilities that CheckExtension knows.
const (
	CapNRVCPUs       = 9
	CapMaxVCPUs      = 66
	CapImmediateExit = 136
)

// Reasons why Run returns.
const (
	ExitUnknown       = 0
	ExitException     = 1
	ExitIO            = 2
	ExitHlt           = 5
	ExitMMIO          = 6
	ExitShutdown      = 8
	ExitFailEntry     = 9
	ExitIntr          = 10
	ExitInternalError = 17
	ExitSystemEvent   = 24
)

// MemoryRegion gives a machine memory.
type MemoryRegion struct {
	Slot, Flags                     uint32
	GuestAddress, Size, HostAddress uint64
}

// IRQFDArgs has an eventfd raise an interrupt.
type IRQFDArgs struct {
	FD, GSI, Flags, ResampleFD uint32
	_                          [16]byte
}

// IOEventFDArgs has a store of the guest raise an eventfd.
type IOEventFDArgs struct {
	DataMatch, Address uint64
	Length             uint32
	FD                 int32
	Flags              uint32
	_                  [36]byte
}

// IOEventFDDataMatch is the flag that a store counts only if it is of DataMatch.
const IOEventFDDataMatch = 1

// RunState is the beginning of the memory that a processor shares with us. What follows
// ExitReason depends on it.
type RunState struct {
	RequestInterruptWindow uint8
	ImmediateExit          uint8
	_                      [6]uint8
	ExitReason             uint32
	ReadyForInterrupt      uint8
	IfFlag                 uint8
	Flags                  uint16
	CR8                    uint64
	APICBase               uint64
	Detail                 [256]byte
}

// IO is the detail of ExitIO. The data is in the shared memory, at DataOffset.
type IO struct {
	Direction, Size uint8
	Port            uint16
	Count           uint32
	DataOffset      uint64
}

// IOOut is the direction of stores.
const IOOut = 1

// MMIO is the detail of ExitMMIO.
type MMIO struct {
	Address uint64
	Data    [8]uint8
	Length  uint32
	IsWrite uint8
}

// Do makes a request whose argument is a number. A run that a signal has ended fails with
// EINTR; other requests are made again.
func Do(fd int, r Request, arg uintptr) (int, error) {
	for {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(r), arg)
		switch {
		case errno == 0:
			return int(n), nil
		case errno == unix.EINTR && r != Run:
		default:
			return 0, os.NewSyscallError(fmt.Sprintf("KVM request %#x", uintptr(r)), errno)
		}
	}
}

// With makes a request whose argument is a structure.
func With[T any](fd int, r Request, arg *T) error {
	_, err := Do(fd, r, uintptr(unsafe.Pointer(arg)))
	return err
}

// IsInterrupted reports whether a run ended because of a signal.
func IsInterrupted(err error) bool {
	return errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN)
}
