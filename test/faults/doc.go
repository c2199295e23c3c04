// Package faults tests what is left of boxes, and what becomes of them, when
// processes are killed, disks are full and files are damaged.
package faults
