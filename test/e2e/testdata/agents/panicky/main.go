//go:build linux

// Command panicky is the guest agent, but for the kernel, which it has panic once
// a file called panic is in the box's root folder.
package main

import (
	"os"
	"time"

	"github.com/boxlite-go/boxlite/internal/guest"
)

func main() {
	go func() {
		for range time.Tick(10 * time.Millisecond) {
			if _, err := os.Stat("/run/box/upper/panic"); err == nil {
				_ = os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0)
			}
		}
	}()
	guest.Main()
}
