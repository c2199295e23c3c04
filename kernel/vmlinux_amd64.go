package kernel

import _ "embed" // for Vmlinux

// Vmlinux is the kernel, an ELF executable compressed with zstd. It is empty on
// architectures that BoxLite has no kernel for.
//
//go:embed vmlinux-amd64.zst
var Vmlinux string
