package qemu

import (
	"os"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/vmm"
)

// What QEMU may use beside what its guest was given.
const (
	// spareMemory is for QEMU itself.
	spareMemory = 256 << 20
	// translatedCode is for what emulation translates: QEMU's buffer for it has at
	// most 1 GiB.
	translatedCode = 1 << 30
	// spareThreads are those that read and write disks, 64, and some more.
	spareThreads = 128
)

// confined says what QEMU is to be in its jail.
func confined(spec vmm.Spec, c vmm.Capability, r *resources) jail.Process {
	p := jail.Process{
		Box: spec.Box, Role: jail.RoleQEMU, Program: c.Program,
		Args:    arguments(spec, c, r.descriptors()),
		Files:   r.Inherited,
		Read:    append(jail.ProgramFiles(c.Program, "qemu", "qemu-kvm", "seabios", "seavgabios", "ipxe"), spec.Kernel, spec.Initrd),
		Devices: []string{os.DevNull, "/dev/urandom"},
		Limits: jail.Limits{
			MemoryBytes: int64(spec.MemoryMiB)<<20 + spareMemory,
			FileBytes:   r.LargestDisk,
			Threads:     spec.CPUs + spareThreads,
			CPUs:        spec.CPUs + 1, // one for disks and the portal
		},
	}
	switch c.Accelerator {
	case accelKVM:
		p.Devices = append(p.Devices, "/dev/kvm")
	case accelTCG:
		p.Limits.MemoryBytes += translatedCode
	}
	return p
}
