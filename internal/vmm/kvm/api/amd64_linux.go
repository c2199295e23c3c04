//go:build amd64

package api

// Requests that x86 processors have.
const (
	GetSupportedCPUID Request = 0xc008ae05
	SetTSSAddress     Request = 0xae47
	SetIdentityMap    Request = 0x4008ae48
	CreateIRQChip     Request = 0xae60
	GetIRQChip        Request = 0xc208ae62
	SetIRQChip        Request = 0x8208ae63
	SetClock          Request = 0x4030ae7b
	GetClock          Request = 0x8030ae7c
	GetRegs           Request = 0x8090ae81
	SetRegs           Request = 0x4090ae82
	GetSregs          Request = 0x8138ae83
	SetSregs          Request = 0x4138ae84
	GetMSRs           Request = 0xc008ae88
	SetMSRs           Request = 0x4008ae89
	GetLAPIC          Request = 0x8400ae8e
	SetLAPIC          Request = 0x4400ae8f
	SetCPUID2         Request = 0x4008ae90
	GetMPState        Request = 0x8004ae98
	SetMPState        Request = 0x4004ae99
	GetEvents         Request = 0x8040ae9f
	SetEvents         Request = 0x4040aea0
	GetDebugRegs      Request = 0x8080aea1
	SetDebugRegs      Request = 0x4080aea2
	GetTSCKHz         Request = 0xaea3
	SetTSCKHz         Request = 0xaea2
	GetXSave          Request = 0x9000aea4
	SetXSave          Request = 0x5000aea5
	GetXCRs           Request = 0x8188aea6
	SetXCRs           Request = 0x4188aea7
	ClockControl      Request = 0xaead
	GetMSRIndexList   Request = 0xc004ae02
)

// Capabilities that CheckExtension knows.
const (
	CapTSCDeadline = 72
)

// Regs are the general registers.
type Regs struct {
	RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP uint64
	R8, R9, R10, R11, R12, R13, R14, R15   uint64
	RIP, RFlags                            uint64
}

// Segment is a segment register.
type Segment struct {
	Base                                           uint64
	Limit                                          uint32
	Selector                                       uint16
	Type, Present, DPL, DB, S, L, G, AVL, Unusable uint8
	_                                              uint8
}

// Table is where a descriptor table is.
type Table struct {
	Base  uint64
	Limit uint16
	_     [3]uint16
}

// Sregs are the registers of segments, paging and interrupts.
type Sregs struct {
	CS, DS, ES, FS, GS, SS, TR, LDT         Segment
	GDT, IDT                                Table
	CR0, CR2, CR3, CR4, CR8, EFER, APICBase uint64
	InterruptBitmap                         [4]uint64
}

// MaxCPUIDEntries is how many a processor can have.
const MaxCPUIDEntries = 256

// CPUIDEntry is what the instruction CPUID answers to one question.
type CPUIDEntry struct {
	Function, Index, Flags, EAX, EBX, ECX, EDX uint32
	_                                          [3]uint32
}

// CPUID is all that the instruction answers.
type CPUID struct {
	Count, _ uint32
	Entries  [MaxCPUIDEntries]CPUIDEntry
}

// MaxMSRs is how many are read or written at one time.
const MaxMSRs = 256

// MSR is a model-specific register.
type MSR struct {
	Index, _ uint32
	Value    uint64
}

// MSRs are several.
type MSRs struct {
	Count, _ uint32
	Entries  [MaxMSRs]MSR
}

// MSRList is which there are.
type MSRList struct {
	Count   uint32
	Indices [512]uint32
}

// LAPIC is the state of a processor's interrupt controller.
type LAPIC struct {
	Regs [1024]byte
}

// IRQChip is the state of one of the machine's interrupt controllers: 0 and 1 are PICs,
// 2 is the IOAPIC.
type IRQChip struct {
	ID, _ uint32
	State [512]byte
}

// MPState is whether a processor runs.
type MPState struct {
	State uint32
}

// Events are exceptions and interrupts that are under way.
type Events struct {
	Raw [64]byte
}

// DebugRegs are the registers for debuggers.
type DebugRegs struct {
	Raw [128]byte
}

// XSave is the state of floating point and vectors.
type XSave struct {
	Raw [4096]byte
}

// XCRs are the registers that say what is in XSave.
type XCRs struct {
	Raw [392]byte
}

// Clock is the paravirtual clock.
type Clock struct {
	Clock             uint64
	Flags, _          uint32
	Realtime, HostTSC uint64
	_                 [4]uint32
}
