//go:build !linux

package qemu

import "syscall"

// dieWithParent asks for nothing: only Linux ends a process with its parent.
func dieWithParent() *syscall.SysProcAttr { return nil }
