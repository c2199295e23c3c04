// Package block is the virtio block device (5.2): a disk of the guest that is a raw file,
// or a block device, of the host.
//
//	guest ──▶ Queue ──▶ parse ──▶ at once ────────────────▶ done ──▶ Queue ──▶ guest
//	                          └─▶ pool: what has to wait ──┘
//
// # What is done where
//
// One goroutine for each queue takes requests. It asks the host for data only as far as
// that does not wait (RWF_NOWAIT): what is in the host's page cache is read in a few
// microseconds, faster than another goroutine is woken. The rest goes to a few workers,
// which begin when there is something to do and end when there is not: reads of what is
// not in the cache, flushes, discards, and writes where the host's file system cannot
// tell whether they wait. So no slow request is in the way of a fast one.
//
// This was measured against doing all at once in the queue's goroutine, and against
// leaving all to the workers: see the package's benchmarks.
//
// # Order
//
// Requests are done in any order, as the specification has it: a driver that wants one
// after another waits in between. A flush that is done means that all writes that were
// done before it began are on the host's disk.
//
// # The guest is hostile
//
// There are never more requests in work than a queue has entries, and never more workers
// than [maxWorkers] for a device. Headers and ranges are copied before they are checked.
// A request without room for a header and a status ends the device; all else that is
// wrong with one is told to the driver in its status, as are errors of the host.
package block
