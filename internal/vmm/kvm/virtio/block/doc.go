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
// leaving all to the workers (microseconds for each request, the best of seven rounds on
// two busy processors, with ext4; BenchmarkRequests is what is left of it):
//
//	                                system call   at once   workers   as it is
//	4 KiB, cached, one by one               1.1       6.4       6.7        6.7
//	4 KiB, cached, 32 at a time             1.2       3.2       2.4        3.2
//	4 KiB, not cached, one by one            64        77        79         68
//	4 KiB, not cached, 32 at a time          43        47        29         14
//	1 MiB, cached, one by one                55        43        53         48
//	4 KiB written, one by one               1.3       6.6       7.4        6.9
//	4 KiB written, 32 at a time             1.1       3.1       2.8        2.7
//
// What is not in the cache is read much faster, as asking for it makes the kernel begin
// to read, for all requests that there are and not only for as many as there are workers.
// And when all workers wait, for flushes, what is in the cache is read all the same.
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
