// Package boot puts a Linux kernel into a guest's memory, so that a processor can begin
// to run it, and tells it of the machine.
//
// The kernel is an ELF file with a PVH entry (Linux's arch/x86/platform/pvh, Xen's
// docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h): it is entered in 32-bit
// protected mode, without paging, with EBX at a structure that tells where memory, command
// line and initrd are. There is no firmware. Processors and interrupts are told by an MP
// table (Intel's MultiProcessor Specification, version 1.4), devices by a configuration behind the initrd.
//
//	0x0000_6000  start_info, its modules and memory map
//	0x0000_7000  command line
//	0x000f_0000  MP table
//	0x0010_0000  kernel (where its file says)
//	             initrd, as high as it goes below 3 GiB
//	0xd000_0000  devices (virtio over MMIO), 4 KiB each
//	0xfec0_0000  IOAPIC
//	0xfee0_0000  local APICs
//	0x1_0000_0000 memory beyond 3 GiB
package boot

// MaxCommandLine is the longest command line, in bytes: Linux's own limit for x86.
const MaxCommandLine = 2047

// DeviceStart is where the registers of the first device are, DeviceSize how many bytes
// each has, and MaxDevices how many there can be.
const (
	DeviceStart = 0xd0000000
	DeviceSize  = 0x1000
	MaxDevices  = 256
)

// Interrupts of devices are those of the IOAPIC that nothing else has. With many devices,
// several share one.
const (
	firstInterrupt = 5
	lastInterrupt  = 23
)

// Interrupt returns the number of a device's interrupt.
func Interrupt(device int) uint32 {
	return uint32(firstInterrupt + device%(lastInterrupt-firstInterrupt+1))
}
