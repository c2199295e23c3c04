package kvm

import (
	"os"
	"strings"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/control"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/monitor"
)

// What the VMM may use beside what its guest was given.
const (
	// spareMemory is for the VMM itself. The host's kernel also needs page tables for
	// the guest's memory, up to 1/pageTables of it.
	spareMemory = 64 << 20
	pageTables  = 128
	// stateSpace is for what is in such a file beside that.
	stateSpace = 8 << 20
	// spareThreads are those that read and write disks, and Go's.
	spareThreads = 64
)

// config describes the machine to the VMM.
func config(spec vmm.Spec) *control.Config {
	c := &control.Config{CPUs: spec.CPUs, MemoryMiB: spec.MemoryMiB, HugePages: spec.HugePages, MAC: spec.MAC, Command: kernelCommandLine}
	for _, d := range spec.Disks {
		c.Disks = append(c.Disks, control.Disk{Serial: d.Serial, ReadOnly: d.ReadOnly})
	}
	return c
}

// kernelCommandLine says what the kernel itself needs to know, beside what the VMM adds:
// where its devices are.
var kernelCommandLine = strings.Join([]string{
	"console=hvc0", "quiet",
	// A panic ends the machine: the VMM takes a reset by the keyboard controller, which
	// is the only thing that there is of it, for the end.
	"panic=-1", "reboot=k",
	// The clock is KVM's, or the host's counter if KVM vouches for it: Linux need not wake
	// twice a second to compare the two, nor take a pause of this processor for a fault of the counter.
	"tsc=reliable",
	// There is no PCI bus to look for.
	"pci=off",
	// A network card that leads nowhere would only be in the way.
	"dummy.numdummies=0",
}, " ")

// confined says what the VMM is to be in its jail.
func confined(spec vmm.Spec, files []*os.File, largestDisk int64) jail.Process {
	memory := int64(spec.MemoryMiB) << 20
	return jail.Process{
		Box: spec.Box, Role: jail.RoleVMM, Self: monitor.Name, Files: files, Read: jail.SelfFiles(),
		Limits: jail.Limits{
			MemoryBytes: memory + memory/pageTables + spareMemory,
			// The guest's memory is a file, too, and part of that to which it is saved.
			FileBytes: max(memory+stateSpace, largestDisk),
			Threads:   spec.CPUs + spareThreads,
			CPUs:      spec.CPUs + 1, // one for disks and streams
		},
	}
}
