//go:build !amd64

package kernel

// Vmlinux is empty: BoxLite has no kernel for this architecture.
const Vmlinux = ""
