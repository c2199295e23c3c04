// Package disk makes the disks that boxes write to: sparse files that hold an
// ext4 file system. See [Create].
package disk
