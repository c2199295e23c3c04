// Package vm is a virtual machine on KVM without its devices: memory, interrupt
// controllers and processors. Each processor is run by a goroutine that keeps a thread to
// itself, and comes out of the guest only for what the kernel can't do: a load or store
// to a device's registers, or the end.
//
// The machine has no firmware, no PCI bus and no legacy devices, but for what stands at
// three ports: where a guest writes before it has a driver for its console, where it
// resets the machine, and nothing at all others.
package vm
