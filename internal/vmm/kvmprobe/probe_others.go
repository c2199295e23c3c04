//go:build !linux || !amd64

package kvmprobe

import "context"

// Probe reports that this system has no KVM.
func Probe(context.Context) error { return fail(ErrUnsupported, nil) }

// Fingerprint has nothing to tell.
func Fingerprint() string { return "" }
