// Package qemu is the engine that runs virtual machines with QEMU.
//
// It uses QEMU's microvm machine, which has nothing but virtio devices, and
// boots an uncompressed kernel through its PVH entry: about as little as a
// machine can be. Guests run on the processor itself where the host has KVM (or
// Apple's hypervisor framework), and under QEMU's emulator otherwise.
//
// # What QEMU gets
//
// All that a machine needs is opened here and inherited by QEMU: disks, the
// console's pipe, and one end each of two socket pairs, for the portal and for
// QMP. Thus QEMU needs no right to any file but the kernel and the initrd, no
// name on disk leads into a machine, and a comma in a path is just a comma.
// QEMU confines itself with its own seccomp filter (-sandbox).
//
// # How a machine ends
//
// [vmm.Machine.Wait] puts together what QMP said last, QEMU's exit status, the
// end of its standard error, and the end of the guest's console. On Linux QEMU
// dies with the process that started it, even if that is killed.
package qemu
