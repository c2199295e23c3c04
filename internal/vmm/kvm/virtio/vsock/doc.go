// Package vsock is the virtio socket device (5.10 of the Virtual I/O Device
// specification, version 1.2), by which streams join a guest and its host. It is all in
// this process, without the kernel's vhost.
//
//	host                         this package                         guest
//	Conn ── readv ─▶ reader of the stream ─▶ buffers of the rx queue ──▶ AF_VSOCK
//	Conn ◀─ writev ─ goroutine of the tx queue ◀─ buffers of that ────── AF_VSOCK
//	     ◀─ write ── drainer of the stream ◀ bounded buffer ┘
//
// Bytes are not copied on the way: the kernel reads and writes them in the guest's
// memory. But what a host that reads slowly has not taken is put into a buffer of its
// stream, not larger than the credit that the guest was given (5.10.6.3), so that no
// stream waits for another.
//
// # Locks
//
// rx.mu is for the rx queue and whose turn it is there; Device.mu, which is taken within
// it and never held for long, for the streams and all that is to be sent.
//
// # Turns
//
// Packets without data go first, so they never wait for data. When the guest has too few
// buffers for all streams, the streams wait in a line, and each has one turn at a time.
package vsock
