package shim

import "syscall"

// ownSession keeps the terminal's signals away from a shim: Ctrl-C is for the
// command, not for the box.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
