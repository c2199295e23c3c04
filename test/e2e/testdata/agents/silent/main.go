// Command silent is an agent that never says anything.
package main

import "syscall"

func main() {
	for {
		_ = syscall.Pause()
	}
}
