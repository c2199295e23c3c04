// Package files serves boxlite.v1.Files: it reads and writes the container's
// files for the host.
//
// Each path is resolved by the kernel within the container's root (openat2(2),
// RESOLVE_IN_ROOT), in the container's mount namespace; all else is done with what
// was opened so. Whatever the container's processes put in the way, be it a link,
// a device, a FIFO, or another file while we look, leads no further than they
// could go themselves, and blocks nothing.
package files
