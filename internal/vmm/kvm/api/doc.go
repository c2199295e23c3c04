// Package api is KVM's interface as the kernel has it: its requests, structures and
// constants (Linux's Documentation/virt/kvm/api.rst and include/uapi/linux/kvm.h), with
// nothing of our own in it. What only one kind of processor has is in a file for it.
package api
