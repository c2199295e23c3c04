// Package guest is the agent: PID 1 of a box's virtual machine. It mounts what
// it needs, greets the host over a virtio-serial port or a socket device, and serves gRPC:
//
//   - Guest: the machine as a whole (clock, hostname, shutdown);
//   - Container: the box's root filesystem and main process;
//   - Execution: commands that run in the container;
//   - Files: reading, writing and copying the container's files (package files).
//
// The agent does nothing before the host asks. It trusts nothing that comes from
// the container: commands run in namespaces of their own, in which neither the
// agent's files nor its processes exist (package container).
//
// # Files
//
// The agent's own root is a read-only tmpfs that holds nothing but mount points;
// its executable lies in the initramfs below, which no path leads to any more.
//
//	/run/image       the image's read-only ext4 disk
//	/run/box         the box's writable ext4 disk; upper/ and work/ are overlayfs's
//	/run/container   the two merged: the container's root filesystem
package guest
