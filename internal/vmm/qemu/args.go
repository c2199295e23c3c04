package qemu

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/boxlite-go/boxlite/internal/network/link"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
)

// descriptors are the numbers under which QEMU inherits what it needs.
type descriptors struct {
	portal, control, console int
	network                  int // 0 if there is none
	disks                    []int
}

// bareArguments describe the machine without what a guest needs to run on it.
// The probe starts it too, so as to know that QEMU has all of it.
func bareArguments(accelerator string, control int) []string {
	args := []string{
		"-M", "microvm,acpi=on,pit=off,pic=off,rtc=on",
		"-accel", accelerator,
		"-cpu", cpuModel(accelerator),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-chardev", fmt.Sprintf("socket,id=control,fd=%d", control),
		"-mon", "chardev=control,mode=control",
		"-object", "rng-builtin,id=random",
		"-device", "virtio-rng-device,rng=random",
		// Memory that the guest has freed goes back to the host.
		"-device", "virtio-balloon-device,free-page-reporting=on",
		"-device", "virtio-serial-device,max_ports=2",
	}
	if runtime.GOOS == "linux" {
		args = append(args, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
	}
	return args
}

// arguments returns QEMU's command line.
func arguments(spec vmm.Spec, c vmm.Capability, fds descriptors) []string {
	args := append(bareArguments(c.Accelerator, fds.control),
		"-smp", strconv.Itoa(spec.CPUs),
		"-m", strconv.Itoa(spec.MemoryMiB)+"M",
		"-kernel", spec.Kernel,
		"-initrd", spec.Initrd,
		"-append", kernelCommandLine(spec, c),
		"-add-fd", fmt.Sprintf("fd=%d,set=1", fds.console),
		"-chardev", "file,id=console,path=/dev/fdset/1,append=on",
		"-serial", "chardev:console",
		"-chardev", fmt.Sprintf("socket,id=portal,fd=%d", fds.portal),
		"-device", "virtserialport,chardev=portal,nr=1,name="+protocol.PortName,
	)
	if fds.network != 0 {
		// "socket", not the newer "stream": QEMU had no other before 7.2, and it still
		// has this one. host_mtu offers the guest large frames.
		args = append(args,
			"-netdev", fmt.Sprintf("socket,id=network,fd=%d", fds.network),
			"-device", fmt.Sprintf("virtio-net-device,netdev=network,mac=%s,host_mtu=%d", spec.MAC, link.MTU))
	}
	for i, d := range spec.Disks {
		args = append(args, diskArguments(d, i, fds.disks[i])...)
	}
	return args
}

// diskArguments describe one disk.
//
// Writes go to the host's page cache, and to its disk when the guest flushes: a
// guest's fsync is the host's. An error, even of a full host disk, is reported
// to the guest, which knows better what to do than a machine that stands still.
func diskArguments(d vmm.Disk, index, fd int) []string {
	mode := "read-only=off,discard=unmap,detect-zeroes=off"
	if d.ReadOnly {
		mode = "read-only=on"
	}
	set := index + 2
	return []string{
		"-add-fd", fmt.Sprintf("fd=%d,set=%d", fd, set),
		"-blockdev", fmt.Sprintf("driver=raw,node-name=disk%d,%s,"+
			"file.driver=file,file.filename=/dev/fdset/%d,file.aio=threads,file.locking=on,file.%s",
			index, mode, set, strings.ReplaceAll(mode, ",", ",file.")),
		"-device", fmt.Sprintf("virtio-blk-device,drive=disk%d,serial=%s,werror=report,rerror=report", index, d.Serial),
	}
}

func cpuModel(accelerator string) string {
	if accelerator == accelTCG {
		// Emulation works off "rep movsb" byte by byte. Without the flags that
		// praise it, kernel and programs copy in larger pieces.
		return "max,-erms,-fsrm"
	}
	return "host"
}

// kernelCommandLine says what the kernel itself needs to know, and nothing more.
func kernelCommandLine(spec vmm.Spec, c vmm.Capability) string {
	words := []string{
		"console=ttyS0", "quiet",
		// A panic ends the machine: with -no-reboot, QEMU exits when the
		// guest's CPU resets.
		"panic=-1", "reboot=t",
		// There is no PCI bus to look for.
		"pci=off",
		// A network card that leads nowhere would only be in the way.
		"dummy.numdummies=0",
	}
	if c.Accelerator == accelTCG {
		if c.TSCKHz > 0 {
			// Nothing in this machine tells the rate, and there is no clock
			// to measure it with.
			words = append(words, fmt.Sprintf("tsc_early_khz=%d", c.TSCKHz))
		}
		// QEMU's local APIC counts nanoseconds. Linux would measure that, and do without a
		// timer if the host let the processor wait at the wrong moment.
		words = append(words, "lapic_timer_khz=1000000")
		if spec.CPUs == 1 {
			// Code that is patched must be translated again.
			words = append(words, "noreplace-smp")
		}
	}
	return strings.Join(words, " ")
}
