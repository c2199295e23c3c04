package jail

// KVM's requests (linux/kvm.h) that a VMM may make, by when it makes them. No other
// ioctl is allowed. Package kvm's tests compare them with those that it has.
var (
	// cpuRequests are made on a processor's thread while it runs.
	cpuRequests = []uint64{
		0xae80,     // KVM_RUN
		0x8090ae81, // KVM_GET_REGS, of one that could not go on
		0x8138ae83, // KVM_GET_SREGS
	}
	// runRequests are made while the machine runs, is paused or is saved.
	runRequests = append([]uint64{
		0x4020ae76, // KVM_IRQFD, of a device that the guest starts or resets
		0x4040ae79, // KVM_IOEVENTFD
		0x8030ae7c, // KVM_GET_CLOCK
		0x4030ae7b, // KVM_SET_CLOCK
		0xaead,     // KVM_KVMCLOCK_CTRL, after a pause
		0xc208ae62, // KVM_GET_IRQCHIP
		0xc008ae88, // KVM_GET_MSRS
		0x8400ae8e, // KVM_GET_LAPIC
		0x8004ae98, // KVM_GET_MP_STATE
		0x8040ae9f, // KVM_GET_VCPU_EVENTS
		0x8080aea1, // KVM_GET_DEBUGREGS
		0xaea3,     // KVM_GET_TSC_KHZ
		0x9000aea4, // KVM_GET_XSAVE
		0x8188aea6, // KVM_GET_XCRS
	}, cpuRequests...)
	// setupRequests are made before it runs.
	setupRequests = []uint64{
		0xae00,     // KVM_GET_API_VERSION
		0xae01,     // KVM_CREATE_VM
		0xc004ae02, // KVM_GET_MSR_INDEX_LIST
		0xae03,     // KVM_CHECK_EXTENSION
		0xae04,     // KVM_GET_VCPU_MMAP_SIZE
		0xc008ae05, // KVM_GET_SUPPORTED_CPUID
		0xae41,     // KVM_CREATE_VCPU
		0x4020ae46, // KVM_SET_USER_MEMORY_REGION
		0xae47,     // KVM_SET_TSS_ADDR
		0x4008ae48, // KVM_SET_IDENTITY_MAP_ADDR
		0xae60,     // KVM_CREATE_IRQCHIP
		0x8208ae63, // KVM_SET_IRQCHIP
		0x4090ae82, // KVM_SET_REGS
		0x4138ae84, // KVM_SET_SREGS
		0x4008ae89, // KVM_SET_MSRS
		0x4400ae8f, // KVM_SET_LAPIC
		0x4008ae90, // KVM_SET_CPUID2
		0x4004ae99, // KVM_SET_MP_STATE
		0x4040aea0, // KVM_SET_VCPU_EVENTS
		0x4080aea2, // KVM_SET_DEBUGREGS
		0xaea2,     // KVM_SET_TSC_KHZ
		0x5000aea5, // KVM_SET_XSAVE
		0x4188aea7, // KVM_SET_XCRS
	}
)

// KVMRequests returns the numbers of all requests that a VMM may make.
func KVMRequests() []uint64 { return append(append([]uint64{}, runRequests...), setupRequests...) }
