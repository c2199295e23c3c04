// Package kvm is the engine that runs virtual machines with a VMM of our own, on KVM.
//
// The VMM is this executable, started again under another name: package monitor is what
// it does then. It inherits all that a machine needs: /dev/kvm, kernel and initrd, disks,
// a pipe for the console and sockets. It opens nothing itself, so its jail holds no file
// and no device.
//
//	shim: Engine, machine ──control──▶ monitor (boxlite-vmm) ◀──KVM──▶ guest
//	          │                            │
//	          ├────── greeting ────────────┤ virtio socket device, port 1 of the host
//	          ├────── streams ─────────────┤ one socket pair each, passed over control
//	          └────── frames ──────────────┘ virtio network device
//
// # The VMM is not trusted
//
// A guest may take it over. What it says over the control connection is bounded and
// checked, and it can pass nothing but text: descriptors go one way only.
//
// # A machine in a file
//
// [Save] writes a machine that is paused to a file, and [Engine.Restore] starts machines
// from there: package snapshot says what is in it. Both are for use inside BoxLite.
//
//	Pause ─▶ Save ─▶ Resume or Kill          Restore ─▶ the guest goes on
//
// The VMM reads and writes the file, of which it is given a descriptor: the shim never
// takes apart what a VMM has written. What a machine is restored from is read before the
// VMM gives up what it needs to set registers, and checked before any of it runs; to save
// a machine, it needs no more than it has while the machine runs.
//
// Connections between host and guest are not kept. The socket device of a restored machine
// says so to the guest (VIRTIO_VSOCK_EVENT_TRANSPORT_RESET), whose agent then greets the
// host anew.
//
// # How a machine ends
//
// A machine without ACPI can't be powered off: the guest resets it, which the VMM tells
// the shim before it exits. [vmm.Machine.Wait] puts together what it told, its exit
// status, the end of its standard error, and the end of the guest's console.
package kvm
