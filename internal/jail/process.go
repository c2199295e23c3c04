package jail

import (
	"context"
	"io"
	"os"
)

// Role says which system calls a process may make.
type Role string

const (
	// RoleQEMU is that of QEMU as a VMM.
	RoleQEMU Role = "qemu"
	// RoleVMM is that of our own VMM, from its start on.
	RoleVMM Role = "vmm"
	// RoleVMMRunning is what is left to our own VMM when its machine has been set up.
	RoleVMMRunning Role = "vmm running"
	// RoleVCPU is that of a thread which runs one processor of a machine.
	RoleVCPU Role = "vcpu"
	// RoleShim is that of the shim once it has sealed itself.
	RoleShim Role = "shim"
	// RoleShimNetwork is that of a shim that serves its box's network.
	RoleShimNetwork Role = "shim with a network"
)

// Reach is what a shim can reach when it has sealed itself, beside its box's folder.
type Reach struct {
	// Network lets it connect to IP addresses, and listen on ports.
	Network bool
	// Read are files and folders that it may read at any time. What isn't there is
	// left out.
	Read []string
}

// Process says what to run in a jail.
type Process struct {
	// Box is the box's ID, from which a user of its own follows if root starts it.
	Box  string
	Role Role
	// Program is an absolute path, Args what follows the name.
	Program string
	Args    []string
	// Self, instead of Program, is the name under which this executable itself is
	// started again, even if its file has been replaced or removed meanwhile.
	Self string
	// Files are the program's descriptors from 3 on.
	Files []*os.File
	// Stderr takes its standard error; its standard input and output are
	// /dev/null.
	Stderr io.Writer
	// Read are files and folders that it may read, Devices those that it may use.
	// What isn't there is left out.
	Read, Devices []string
	Limits        Limits
}

// Limits bound what a process uses of the host.
type Limits struct {
	// MemoryBytes is the memory that it may fill.
	MemoryBytes int64 `json:"memory_bytes"`
	// FileBytes is how large it may make a file.
	FileBytes int64 `json:"file_bytes"`
	// Threads is how many it may have.
	Threads int `json:"threads"`
	// CPUs is how many processors it may keep busy; 0 is no limit.
	CPUs int `json:"cpus"`
}

// Probe tries what a jail needs on this host, with executable as the program that
// calls [Main]; empty means the running one.
func Probe(ctx context.Context, executable string) (Support, error) { return probe(ctx, executable) }
