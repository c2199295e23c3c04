// Package monitor is the process that runs a virtual machine, boxlite-vmm: it puts
// together memory, processors and devices, and does what the shim asks for by package
// control.
//
//	control ──▶ monitor ──▶ boot    kernel and initrd into memory
//	                │
//	                ├─────▶ vm      processors on KVM
//	                │        │ loads and stores
//	                │        ▼
//	                └─────▶ virtio  a transport for each device
//
// It needs nothing but the descriptors that it inherits: it opens no files, and makes no
// sockets. When the shim goes away, so does it.
package monitor

// Name is what the process is called: a program that is started under this name calls
// [Main].
const Name = "boxlite-vmm"
