//go:build !linux

package jail

// SealVMM does nothing: this system has no VMM of our own.
func SealVMM() error { return nil }

// SealVCPU does nothing, either.
func SealVCPU() error { return nil }
