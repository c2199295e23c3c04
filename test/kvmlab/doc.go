// Package kvmlab runs commands where /dev/kvm works.
//
// Where the host's own does, that is the host. Elsewhere it is the lab: a machine
// that QEMU emulates, with a CPU that has AMD's SVM and nested paging, on which
// Debian's kernel offers KVM. That is slow, but it is the real interface, with the
// real exits and the real errors.
package kvmlab
