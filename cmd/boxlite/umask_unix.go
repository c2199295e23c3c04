//go:build unix

package main

import "syscall"

// restrictMode lets only the owner use what is made from now on, until the function
// that it returns is called.
func restrictMode() (restore func()) {
	old := syscall.Umask(0o077)
	return func() { syscall.Umask(old) }
}
