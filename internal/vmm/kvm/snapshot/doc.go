// Package snapshot is the file in which a machine that stands still is kept, to go on in
// another process: once, or any number of times.
//
//	offset 0       magic, version, length and checksum of the header     32 bytes
//	       32      the header: a JSON object, of type [Header]
//	       Space   the guest's memory, as large as it is
//
// Pages of memory that the guest does not have are holes. The file is as long as all of
// that; and its beginning is written last, so that a file which was not written to its end
// is none.
//
// A file that is read may be damaged, or made by a VMM that its guest has taken over: its
// header is bounded, and checked before anything is made of it. What its memory and
// registers are is the guest's affair, as it is when it runs.
package snapshot
