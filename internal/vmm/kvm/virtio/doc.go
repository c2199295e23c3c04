// Package virtio has what all virtio devices share: the queues through which the guest's
// drivers pass buffers, and the registers by which they find and set up a device. It
// follows the Virtual I/O Device specification, version 1.2: section 2.7 for queues
// (split virtqueues), 4.2 for registers (virtio over MMIO). Each device is a package
// below.
//
//	vCPU ── register ──▶ Transport ── Start, Stop ──▶ Device
//	                        │                           │ Pop, Push
//	guest ── kick ────────▶ Queue ◀─────────────────────┘
//	guest ◀── interrupt ────┘
//
// # Who runs where
//
// A [Transport] is called by vCPUs, one at a time. A [Device] works in goroutines of its
// own, at least one for each queue, from Start until Stop. In between, its queues are
// its own; each queue is used by one goroutine at a time.
//
// # The guest is hostile
//
// All that is read from a queue is in the guest's memory, and may change while it is
// read. It is copied once, checked, and then used. What breaks the rules ends the
// device, not the machine: the driver is told that the device needs a reset (2.1.2).
package virtio
