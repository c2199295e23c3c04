package kvmprobe

//lint:file-ignore U1000 These are the kernel's structures, with all their fields.

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// request is one of KVM's ioctl requests (linux/kvm.h).
type request uintptr

const (
	kvmGetAPIVersion       request = 0xae00
	kvmCreateVM            request = 0xae01
	kvmGetVCPUMmapSize     request = 0xae04
	kvmGetSupportedCPUID   request = 0xc008ae05
	kvmCreateVCPU          request = 0xae41
	kvmSetUserMemoryRegion request = 0x4020ae46
	kvmSetTSSAddr          request = 0xae47
	kvmRun                 request = 0xae80
	kvmSetRegs             request = 0x4090ae82
	kvmGetSregs            request = 0x8138ae83
	kvmSetSregs            request = 0x4138ae84
	kvmSetCPUID2           request = 0x4008ae90
	kvmEnableCap           request = 0x4068aea3
)

var requestNames = map[request]string{
	kvmGetAPIVersion: "KVM_GET_API_VERSION", kvmCreateVM: "KVM_CREATE_VM",
	kvmGetVCPUMmapSize: "KVM_GET_VCPU_MMAP_SIZE", kvmGetSupportedCPUID: "KVM_GET_SUPPORTED_CPUID",
	kvmCreateVCPU: "KVM_CREATE_VCPU", kvmSetUserMemoryRegion: "KVM_SET_USER_MEMORY_REGION",
	kvmSetTSSAddr: "KVM_SET_TSS_ADDR", kvmRun: "KVM_RUN", kvmSetRegs: "KVM_SET_REGS",
	kvmGetSregs: "KVM_GET_SREGS", kvmSetSregs: "KVM_SET_SREGS", kvmSetCPUID2: "KVM_SET_CPUID2",
	kvmEnableCap: "KVM_ENABLE_CAP",
}

func (r request) String() string {
	if name := requestNames[r]; name != "" {
		return name
	}
	return fmt.Sprintf("KVM request %#x", uintptr(r))
}

// ioctl makes a request whose argument is a number.
func ioctl(fd int, r request, arg uintptr) (int, error) {
	for {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(r), arg)
		switch {
		case errno == 0:
			return int(n), nil
		case errno != unix.EINTR || r == kvmRun:
			return 0, os.NewSyscallError(r.String(), errno)
		}
	}
}

// ioctlStruct makes a request whose argument is a structure.
func ioctlStruct[T any](fd int, r request, arg *T) error {
	_, err := ioctl(fd, r, uintptr(unsafe.Pointer(arg)))
	return err
}

// The structures of linux/kvm.h, as far as they are used.

type memoryRegion struct {
	slot, flags                     uint32
	guestAddress, size, hostAddress uint64
}

type regs struct {
	rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp uint64
	r8, r9, r10, r11, r12, r13, r14, r15   uint64
	rip, rflags                            uint64
}

type segment struct {
	base                                           uint64
	limit                                          uint32
	selector                                       uint16
	kind, present, dpl, db, s, l, g, avl, unusable uint8
	_                                              uint8
}

type sregs struct {
	cs, ds, es, fs, gs, ss, tr, ldt segment
	gdt, idt                        struct {
		base  uint64
		limit uint16
		_     [3]uint16
	}
	cr0, cr2, cr3, cr4, cr8, efer, apicBase uint64
	interruptBitmap                         [4]uint64
}

const maxCPUIDEntries = 256

type cpuid struct {
	entries, _ uint32
	entry      [maxCPUIDEntries]struct{ function, index, flags, eax, ebx, ecx, edx, _, _, _ uint32 }
}

const capSplitIRQChip = 121

type enableCap struct {
	capability, flags uint32
	args              [4]uint64
	_                 [64]uint8
}

// Why KVM_RUN returns.
const (
	exitIO            = 2
	exitHlt           = 5
	exitMMIO          = 6
	exitShutdown      = 8
	exitFailEntry     = 9
	exitInternalError = 17
)

// runState is the part of struct kvm_run that is used. What follows exitReason
// depends on it.
type runState struct {
	_             uint8
	immediateExit uint8
	_             [6]uint8
	exitReason    uint32
	_             [20]uint8
	detail        [32]uint8
}

// io is the detail of exitIO.
type ioDetail struct {
	direction, size uint8
	port            uint16
	count           uint32
	dataOffset      uint64
}

// mmioDetail is the detail of exitMMIO.
type mmioDetail struct {
	address uint64
	data    [8]uint8
	length  uint32
	isWrite uint8
}
